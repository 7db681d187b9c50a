use proptest::prelude::*;
use ring::hmac;
use serde::Deserialize;

use super::*;

const MAX: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    jti: String,
    exp: i64,
    aud: String,
}

fn claims() -> Claims {
    // Long over, and for somebody: both are the caller's to look at.
    Claims { jti: "0001-ab".to_owned(), exp: 1, aud: "pi".to_owned() }
}

fn token(key: &SigningKey) -> String {
    sign(key, &claims()).unwrap()
}

fn check(keys: &[PublicKey], token: impl AsRef<[u8]>) -> Result<Claims, VerifyError> {
    verify(keys, token.as_ref(), MAX)
}

/// A token with this header whose signature, if any, is made by `sign` of what is signed.
fn forged(header: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let claims = serde_json::to_vec(&claims()).unwrap();
    let message = format!("{}.{}", base64url(header.as_bytes()), base64url(&claims));
    let signature = base64url(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}

// E6
#[test]
fn what_a_trusted_key_has_signed_counts_and_nothing_else_does() {
    let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let token = token(&key);
    assert_eq!(check(&[key.public()], &token), Ok(claims()));
    assert_eq!(check(&[other.public()], &token), Err(VerifyError::Signature));
    assert_eq!(check(&[], &token), Err(VerifyError::Signature));
    // While keys are changed, both count.
    for keys in [[key.public(), other.public()], [other.public(), key.public()]] {
        assert_eq!(check(&keys, &token), Ok(claims()));
    }
}

// E6
#[test]
fn no_other_algorithm_is_taken_whatever_it_is_signed_with() {
    let key = SigningKey::generate().unwrap();
    let public = key.public();
    let pair = Ed25519KeyPair::from_pkcs8(key.to_pkcs8()).unwrap();
    let with_public_as_secret =
        |message: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public.0), message).as_ref().to_vec();
    let rightly = |message: &[u8]| pair.sign(message).as_ref().to_vec();
    let hs256 = forged(r#"{"alg":"HS256","typ":"JWT"}"#, with_public_as_secret);
    assert_eq!(check(&[public], hs256), Err(VerifyError::Algorithm));
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None","typ":"JWT"}"#,
        r#"{"alg":"RS256","typ":"JWT"}"#,
        r#"{"alg":"eddsa"}"#,
        r#"{"typ":"JWT"}"#,
    ] {
        assert_eq!(check(&[public], forged(header, rightly)), Err(VerifyError::Algorithm), "{header}");
        assert_eq!(check(&[public], forged(header, |_| Vec::new())), Err(VerifyError::Algorithm), "{header}");
    }
    // What only looks like it is not taken for it either.
    let lies = forged(r#"{"alg":"EdDSA","typ":"JWT"}"#, with_public_as_secret);
    assert_eq!(check(&[public], lies), Err(VerifyError::Signature));
    let bare = forged(r#"{"alg":"EdDSA"}"#, |_| Vec::new());
    assert_eq!(check(&[public], bare), Err(VerifyError::Signature));
    let demanding = forged(r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#, rightly);
    assert_eq!(check(&[public], demanding), Err(VerifyError::Malformed));
    // The same with nothing wrong is taken, so that it is the header that was refused.
    assert_eq!(check(&[public], forged(r#"{"alg":"EdDSA"}"#, rightly)), Ok(claims()));
}

// E6
#[test]
fn a_changed_byte_is_seen_wherever_it_is() {
    let key = SigningKey::generate().unwrap();
    let token = token(&key);
    for place in 0..token.len() {
        for byte in [b'A', b'B', b'-', b'.', b'=', 0, 0xff] {
            let mut changed = token.clone().into_bytes();
            if std::mem::replace(&mut changed[place], byte) != byte {
                check(&[key.public()], &changed).unwrap_err();
            }
        }
        check(&[key.public()], &token[..place]).unwrap_err();
    }
    check(&[key.public()], format!("{token}.")).unwrap_err();
    check(&[key.public()], format!("{token}=")).unwrap_err();
}

// E6
#[test]
fn over_the_limit_nothing_is_looked_at() {
    let key = SigningKey::generate().unwrap();
    let token = token(&key);
    assert_eq!(verify::<Claims>(&[key.public()], token.as_bytes(), token.len()), Ok(claims()));
    let max = token.len() - 1;
    assert_eq!(verify::<Claims>(&[key.public()], token.as_bytes(), max), Err(VerifyError::TooLarge { max }));
    let huge = vec![b'.'; 10_000_000];
    assert_eq!(check(&[key.public()], huge), Err(VerifyError::TooLarge { max: MAX }));
}

#[test]
fn what_is_no_token_and_what_says_something_else_are_told_apart() {
    let key = SigningKey::generate().unwrap();
    for text in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "!.!.!", "\u{e4}.\u{e4}.\u{e4}", "e30", "W10.e30."] {
        let error = check(&[key.public()], text).unwrap_err();
        // `[]` is JSON and has no algorithm.
        let expected = if text == "W10.e30." { VerifyError::Algorithm } else { VerifyError::Malformed };
        assert_eq!(error, expected, "{text}");
    }
    assert_eq!(check(&[key.public()], [0xff, b'.', 0xfe, b'.', 0]), Err(VerifyError::Malformed));
    let others = sign(&key, &serde_json::json!({ "jti": 5 })).unwrap();
    let Err(VerifyError::Claims(text)) = check(&[key.public()], others) else { panic!("taken") };
    assert!(text.contains("invalid type"), "{text}");
}

// RR13
#[test]
fn a_key_survives_its_file_and_does_not_print_itself() {
    let key = SigningKey::generate().unwrap();
    let again = SigningKey::from_pkcs8(key.to_pkcs8()).unwrap();
    assert_eq!(again.public(), key.public());
    assert_eq!(check(&[key.public()], token(&again)), Ok(claims()));
    assert_eq!(format!("{key:?}"), format!("SigningKey(*** of {})", key.public()));
    let mut damaged = key.to_pkcs8().to_vec();
    damaged[30] ^= 1;
    for bytes in [&b""[..], b"-----BEGIN PRIVATE KEY-----", &key.to_pkcs8()[1..], &damaged] {
        assert_eq!(SigningKey::from_pkcs8(bytes).unwrap_err(), KeyError::NotPkcs8);
    }
}

#[test]
fn a_public_key_is_one_line_of_text() {
    // RFC 8037, appendix A.2.
    let text = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let key: PublicKey = text.parse().unwrap();
    assert_eq!((key.to_string(), key.0[..2].to_vec()), (text.to_owned(), vec![0xd7, 0x5a]));
    assert_eq!(format!(" {text}\n").parse(), Ok(key));
    for bad in [
        "",
        "ed25519:",
        &text[8..],
        &text[..50],
        &format!("{text}A"),
        &format!("{text}="),
        &text.replace('_', "/"),
        &text.replace("ed25519", "rsa"),
        // The last digit has bits that belong to no byte.
        &text.replace("HURo", "HURp"),
    ] {
        let error = bad.parse::<PublicKey>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{bad}` is not a public key; it is one line")), "{error}");
    }
}

// RFC 8037, appendix A.4: the same claims signed elsewhere.
#[test]
fn a_foreign_signature_is_verified() {
    let key: PublicKey = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".parse().unwrap();
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    // The signature is right; what is signed there is no JSON.
    let error = verify::<Claims>(&[key], token.as_bytes(), MAX).unwrap_err();
    assert!(matches!(error, VerifyError::Claims(_)), "{error}");
}

#[test]
fn base64url_has_no_padding() {
    for (bytes, text) in
        [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("~~\u{7f}", "fn5_")]
    {
        assert_eq!(base64url(bytes.as_bytes()), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // E6
    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let key: PublicKey = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".parse().unwrap();
        prop_assert!(check(&[key], bytes).is_err());
    }

    // E6
    #[test]
    fn a_token_that_was_tampered_with_is_refused(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        header in "\\PC{0,40}",
    ) {
        let key = SigningKey::generate().unwrap();
        let token = token(&key);
        let mut changed = token.clone().into_bytes();
        for (place, byte) in changes {
            let place = place.index(changed.len());
            changed[place] = byte;
        }
        prop_assert_eq!(check(&[key.public()], &changed).is_ok(), changed == token.as_bytes());
        prop_assert!(check(&[key.public()], &token[cut.index(token.len())..]).is_err() || cut.index(token.len()) == 0);
        let (_, rest) = token.split_once('.').unwrap();
        let other = format!("{}.{rest}", base64url(header.as_bytes()));
        prop_assert!(check(&[key.public()], other).is_err());
    }
}
