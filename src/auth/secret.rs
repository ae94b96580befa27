//! Random secrets that people and devices carry, and the hashes under which the server keeps them.

use std::sync::LazyLock;

use data_encoding::{BASE64URL_NOPAD, Encoding, Specification};
use sha2::{Digest as _, Sha256};
use sovereign_proto::signed;
use zeroize::Zeroizing;

use crate::entropy;

/// What a token starts with: recognisable to people and to scanners for leaked secrets, and no ticket.
const TOKEN_PREFIX: &str = "sovt_";
/// What a ticket starts with.
const TICKET_PREFIX: &str = "sovk_";

/// A fresh session token: 256 bits, long-lived, never in a URL.
#[must_use]
pub fn token() -> Zeroizing<String> {
    token_of(&Zeroizing::new(entropy::random()))
}

/// The token that carries these 256 secret bits.
pub(super) fn token_of(bits: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(format!("{TOKEN_PREFIX}{}", BASE64URL_NOPAD.encode(bits)))
}

/// A fresh ticket: 256 bits, single use, thirty seconds; may stand in a query string.
#[must_use]
pub fn ticket() -> Zeroizing<String> {
    let bits = Zeroizing::new(entropy::random::<32>());
    Zeroizing::new(format!("{TICKET_PREFIX}{}", BASE64URL_NOPAD.encode(bits.as_slice())))
}

/// A fresh invite code: 128 bits in Crockford's base 32, which survives being read out aloud.
#[must_use]
pub fn invite_code() -> Zeroizing<String> {
    Zeroizing::new(CROCKFORD.encode(&entropy::random::<16>()))
}

/// A fresh password for somebody who has lost theirs: 120 bits in groups that can be read out aloud.
#[must_use]
pub fn password() -> Zeroizing<String> {
    let letters = Zeroizing::new(CROCKFORD.encode(&entropy::random::<15>()).to_ascii_lowercase());
    let mut password = Zeroizing::new(String::with_capacity(29));
    for (index, letter) in letters.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            password.push('-');
        }
        password.push(letter);
    }
    password
}

/// Whether `text` has the form of a token.
#[must_use]
pub fn is_token(text: &str) -> bool {
    has_form(text, TOKEN_PREFIX)
}

/// Whether `text` has the form of a ticket.
#[must_use]
pub fn is_ticket(text: &str) -> bool {
    has_form(text, TICKET_PREFIX)
}

fn has_form(text: &str, prefix: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 43 && rest.bytes().all(allowed))
}

/// The hash under which a token, ticket or invite code is kept. In codes case, hyphens and look-alikes do not matter.
/// Looking it up by hash needs no comparison in constant time.
#[must_use]
pub fn hash(text: &str) -> [u8; 32] {
    let text = if is_token(text) || is_ticket(text) { Zeroizing::new(text.to_owned()) } else { normalised(text) };
    Sha256::digest(Zeroizing::new(signed::labelled("Secret", &[text.as_bytes()])).as_slice()).into()
}

/// Crockford's alphabet: no I, L, O and U.
static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    specification.encoding().expect("32 distinct symbols make an encoding")
});

fn normalised(code: &str) -> Zeroizing<String> {
    let significant = code.chars().filter(|char| !matches!(char, '-' | ' '));
    Zeroizing::new(
        significant
            .map(|char| match char.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_form_of_its_own() {
        let (token, ticket, code) = (token(), ticket(), invite_code());
        assert!(is_token(&token) && !is_ticket(&token));
        assert!(is_ticket(&ticket) && !is_token(&ticket));
        assert!(!is_token(&code) && !is_ticket(&code) && code.len() == 26);
        assert!(!is_token("sovt_short") && !is_token(&token[1..]));
        assert_ne!(hash(&token), hash(&self::token()));
    }

    #[test]
    fn codes_survive_being_typed_and_tokens_are_exact() {
        assert_eq!(hash("0l23-4567 89ab-cdef-ghjk-mnpq-rs"), hash("0123456789ABCDEFGHJKMNPQRS"));
        let token = token();
        assert_ne!(hash(&token), hash(&token.to_ascii_uppercase()));
    }
}
