//! Passwords and passphrases: from a file or from a prompt, never from the command line.

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::Path,
};

use zeroize::Zeroizing;

use crate::exit::{self, Exit};

/// A secret that may not be there.
pub(crate) type Secret = Option<Zeroizing<String>>;

/// The first line of a file; an empty one counts as a mistake.
pub(crate) fn from_file(path: &Path) -> Result<Zeroizing<String>, Exit> {
    let failed = |text: String| Exit::failed(exit::IO, format!("{}: {text}", path.display()));
    let content = Zeroizing::new(fs::read_to_string(path).map_err(|error| failed(error.to_string()))?);
    match content.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(Zeroizing::new(line.to_owned())),
        None => Err(failed("the file's first line is empty".to_owned())),
    }
}

/// For `join`: the file, or a prompt on a terminal (asked twice, empty for none). Without both: none.
pub(crate) fn new_password(file: Option<&Path>) -> Result<Secret, Exit> {
    if let Some(file) = file {
        return from_file(file).map(Some);
    }
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let first = prompt("Password for further devices (empty: none): ")?;
    if first.is_empty() {
        return Ok(None);
    }
    if *first == *prompt("The same again: ")? { Ok(Some(first)) } else { Err(Exit::failed(exit::USAGE, "the passwords differ")) }
}

/// For `login`: the file, or a prompt on a terminal.
pub(crate) fn password(file: Option<&Path>) -> Result<Zeroizing<String>, Exit> {
    match file {
        Some(file) => from_file(file),
        None if io::stdin().is_terminal() => prompt("Password: "),
        None => Err(Exit::failed(exit::USAGE, "there is no terminal to ask for the password; use --password-file FILE")),
    }
}

fn prompt(text: &str) -> Result<Zeroizing<String>, Exit> {
    rpassword::prompt_password(text).map(Zeroizing::new).map_err(Exit::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_first_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("password");
        for (content, expected) in [("word\n", Some("word")), ("two words\r\nmore", Some("two words")), ("\n", None), ("", None)]
        {
            fs::write(&file, content).expect("written");
            assert_eq!(from_file(&file).ok().as_ref().map(|secret| secret.as_str()), expected);
        }
        assert_eq!(from_file(&directory.path().join("none")).map_err(|exit| exit.code).err(), Some(exit::IO));
    }
}
