//! Looks for words in files, in the forms that they could have there.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};

/// Bytes by which a place is found where a text could stand; shorter forms are not looked for.
const HEAD: usize = 8;

/// A word in one of its forms, and the word.
type Form<'a> = (Vec<u8>, &'a [u8]);

/// What a search has gone through, and found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) files: usize,
    pub(super) bytes: usize,
    /// What of it stands in some file.
    pub(super) what: HashSet<Vec<u8>>,
}

/// Looks through the files at and below `places` for each of the words: as it is, in hex, and in base64 at any alignment.
/// Files that vanish meanwhile hold nothing.
pub(super) fn search<'a>(places: &[PathBuf], words: impl Iterator<Item = &'a [u8]>) -> io::Result<Found> {
    let mut wanted: HashMap<[u8; HEAD], Vec<Form<'a>>> = HashMap::new();
    for word in words {
        for form in forms(word) {
            if let Some(head) = form.first_chunk() {
                wanted.entry(*head).or_default().push((form, word));
            }
        }
    }
    let mut found = Found::default();
    for file in files(places)? {
        let Ok(content) = fs::read(&file) else { continue };
        found.files += 1;
        found.bytes += content.len();
        for at in 0..content.len() {
            let Some(head) = content[at..].first_chunk::<HEAD>() else { break };
            let Some(candidates) = wanted.get(head) else { continue };
            let standing = candidates.iter().filter(|(form, _)| content[at..].starts_with(form));
            found.what.extend(standing.map(|(_, word)| word.to_vec()));
        }
    }
    Ok(found)
}

/// Base64 depends on how many bytes stand before the word: what of it is the same in any company.
fn forms(word: &[u8]) -> Vec<Vec<u8>> {
    let whole = |bytes: &[u8]| BASE64.encode(&bytes[..bytes.len() / 3 * 3]).into_bytes();
    let mut forms = vec![word.to_vec(), HEXLOWER.encode(word).into_bytes(), HEXUPPER.encode(word).into_bytes()];
    forms.extend((0..3).filter_map(|skipped| word.get(skipped..)).map(whole));
    forms
}

fn files(places: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut open = places.to_vec();
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(entries(&path)?);
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_text_in_every_form_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let text = "the kettle is on, ann";
        let places = [directory.path().to_owned()];
        let look = |content: &[u8]| {
            fs::create_dir_all(directory.path().join("below")).expect("a directory");
            fs::write(directory.path().join("below/file"), content).expect("a file");
            search(&places, [text.as_bytes(), b"never said at all"].into_iter()).expect("readable")
        };
        let in_base64 = |before: &str| BASE64.encode(format!("{before}{text}!").as_bytes());
        let forms = [
            format!("\0\0{text}\0"),
            format!("x{}", HEXLOWER.encode(text.as_bytes())),
            HEXUPPER.encode(text.as_bytes()),
            in_base64(""),
            in_base64("1"),
            in_base64("12"),
        ];
        for form in forms {
            let found = look(form.as_bytes());
            assert_eq!(found.what, HashSet::from([text.as_bytes().to_vec()]), "{form}");
            assert_eq!((found.files, found.bytes), (1, form.len()));
        }
        assert!(look(b"the kettle is on, bob").what.is_empty());
    }
}
