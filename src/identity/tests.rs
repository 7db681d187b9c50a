use super::*;

fn machine(marks: &[&str]) -> Machine {
    Machine(marks.iter().map(|mark| (*mark).to_owned()).collect())
}

fn board() -> Machine {
    machine(&["board 01", "network 02"])
}

fn settle_in(directory: &Path, given: Option<&str>, machine: &Machine) -> Identity {
    let given = given.map(|id| id.parse().unwrap());
    settle(given.as_ref(), Some(directory), "pi-kitchen.lan", machine).unwrap()
}

// DM1
#[test]
fn an_id_is_made_once_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let first = settle_in(directory.path(), None, &board());
    assert!(first.id.as_str().starts_with("pi-kitchen-") && first.id.as_str().len() == 17, "{}", first.id);
    assert_eq!(settle_in(directory.path(), None, &board()), first);
    let elsewhere = tempfile::tempdir().unwrap();
    assert_ne!(settle_in(elsewhere.path(), None, &board()).id, first.id);
}

// DM1
#[test]
fn a_given_id_wins_and_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    settle_in(directory.path(), None, &board());
    assert_eq!(settle_in(directory.path(), Some("shop-7"), &board()).id.as_str(), "shop-7");
    assert_eq!(settle_in(directory.path(), None, &board()).id.as_str(), "shop-7");
}

// DM2
#[test]
fn a_kept_id_on_another_machine_stays_and_is_reported_until_it_is_settled() {
    let directory = tempfile::tempdir().unwrap();
    let first = settle_in(directory.path(), None, &board());
    let clone = machine(&["board 11", "network 12"]);
    for _ in 0..2 {
        assert_eq!(settle_in(directory.path(), None, &clone), Identity { id: first.id.clone(), moved: true });
    }
    assert!(!settle_in(directory.path(), None, &board()).moved, "the first machine is still the right one");
    assert!(!settle_in(directory.path(), Some("pi-clone"), &clone).moved, "another id settles it");
    fs::remove_file(directory.path().join("machine")).unwrap();
    assert!(!settle_in(directory.path(), Some("pi-clone"), &board()).moved, "so does removing the file");
}

// DM2
#[test]
fn a_machine_that_shows_more_or_less_of_itself_is_the_same() {
    for (kept, seen, same) in [
        (&["board 01", "network 02"][..], &["network 02"][..], true),
        (&["network 02"], &["firmware 05", "network 02"], true),
        (&["board 01", "network 02"], &["board 01", "network 03"], true),
        (&["board 01"], &["network 02"], true),
        (&[], &["network 02"], true),
        (&["network 02"], &[], true),
        (&["board 01", "network 02"], &["board 09", "network 03"], false),
        (&["network 02"], &["network 03"], false),
    ] {
        assert_eq!(machine(kept).may_be(&machine(seen)), same, "{kept:?} {seen:?}");
    }
}

#[test]
fn a_kept_text_that_is_no_id_is_refused_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("id"), "pi kitchen\n").unwrap();
    let error = settle(None, Some(directory.path()), "pi", &board()).unwrap_err().to_string();
    assert!(error.contains("/id holds no agent id"), "{error}");
    assert_eq!(settle_in(directory.path(), Some("pi"), &board()).id.as_str(), "pi");
}

// DM1
#[test]
fn without_a_data_directory_the_id_follows_from_the_machine() {
    let id = |host: &str| settle(None, None, host, &machine(&["board 0123456789"])).unwrap().id;
    assert_eq!(id("pi").as_str(), "pi-012345");
    for (host, made) in
        [("Küche.lan", "K-che-012345"), ("...", "host-012345"), ("-a b-", "a-b-012345"), ("", "host-012345")]
    {
        assert_eq!(id(host).as_str(), made);
    }
    assert_eq!(id(&"x".repeat(300)).as_str().len(), 47);
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

// DM2
#[test]
fn the_marks_are_what_the_hardware_has_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    assert_eq!(Machine::read(root), Machine::default());
    write(root, "sys/class/dmi/id/product_uuid", "00000000-0000-0000-0000-000000000000\n");
    write(root, "sys/class/net/veth0/address", "02:42:ac:11:00:02\n");
    write(root, "sys/class/net/veth0/addr_assign_type", "0\n");
    write(root, "sys/class/net/wlan0/address", "b8:27:eb:11:22:33\n");
    write(root, "sys/class/net/wlan0/addr_assign_type", "1\n");
    write(root, "sys/class/net/wlan0/device/uevent", "");
    assert_eq!(Machine::read(root), Machine::default(), "nothing of these is the hardware's own");
    write(root, "sys/class/net/eth0/address", "B8:27:EB:44:55:66\n");
    write(root, "sys/class/net/eth0/addr_assign_type", "0\n");
    write(root, "sys/class/net/eth0/device/uevent", "");
    write(root, "proc/device-tree/serial-number", "10000000abcdef01\0");
    let expected: [String; 2] =
        [format!("board {:032x}", hash(b"10000000abcdef01")), format!("network {:032x}", hash(b"b8:27:eb:44:55:66"))];
    assert_eq!(Machine::read(root), Machine(expected.clone().into()));
    assert_eq!(Machine::read(root).fingerprint(), expected[0].strip_prefix("board "));
}

#[test]
fn the_hash_is_the_published_one() {
    // The test vector of FNV-1a with 128 bits.
    assert_eq!(hash(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
}
