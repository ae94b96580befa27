//! The search for canaries: what must never be found in a directory, in any of the forms it could have there.

use std::{fs, path::Path};

/// Files below `directory` that hold any of the needles, as they are, in hex, or in base64.
pub fn search(directory: &Path, needles: &[String]) -> Vec<String> {
    let mut forms: Vec<Vec<u8>> = Vec::new();
    for needle in needles {
        let bytes = needle.as_bytes();
        forms.push(bytes.to_vec());
        forms.push(data_encoding::HEXLOWER.encode(bytes).into_bytes());
        forms.push(data_encoding::BASE64.encode(&bytes[..bytes.len() / 3 * 3]).into_bytes());
    }
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("readable").map(|entry| entry.expect("an entry").path()));
        } else if let Ok(content) = fs::read(&path) {
            for form in &forms {
                if content.windows(form.len()).any(|window| window == form) {
                    found.push(format!("{}: {}", path.display(), String::from_utf8_lossy(form)));
                }
            }
        }
    }
    found
}
