//! Files nobody but the server's user may read (0600, in directories of 0700), written whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// Makes `path` and what is missing above it with mode 0700, each of them durable. An existing directory is left as it is.
pub fn create_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // The outermost first: a directory is of no use before the way to it is safe.
    missing.into_iter().rev().try_for_each(|made| File::open(parent(made))?.sync_all())
}

/// Puts `content` at `path` with mode 0600: a reader sees the old file or the new one, never a part, also after a
/// power cut.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = parent(path);
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let temporary = directory.join(name);
    // A leftover of a crash may have other permissions; a fresh file has ours.
    remove(&temporary)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

/// The directory that `path` stands in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An empty file at `path` with mode 0600, for room that is to be held.
pub fn create(path: &Path) -> io::Result<File> {
    remove(path)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The content of `path`, or `None` where there is no such file. More than `bytes_max` bytes are an error, and so is a
/// secret that others may read.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0 {
        let mode = mode & 0o777;
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("others may read it (mode {mode:o}); run: chmod 600 {}", path.display()),
        ));
    }
    // Room for all of it at once: a buffer that grew would leave parts of a secret behind in memory.
    let mut content = Vec::with_capacity(usize::try_from(metadata.len().min(bytes_max)).unwrap_or(0) + 1);
    file.take(bytes_max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {bytes_max} bytes")));
    }
    Ok(Some(content))
}

/// Removes `path`; that it is not there is no error.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_private_and_replaced_whole() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let directory = scratch.path().join("a/b");
        create_directory(&directory).expect("it can be made");
        let path = directory.join("secret");
        write(&path, b"one").expect("it can be written");
        write(&path, b"two").expect("it can be replaced");
        assert_eq!(read(&path, 3).expect("it is readable"), Some(b"two".to_vec()));
        assert_eq!((mode(&path), mode(&directory)), (0o600, 0o700));
        assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 1, "no temporary file is left");
    }

    #[test]
    fn refuses_what_others_may_read_and_what_is_too_long() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("secret");
        assert_eq!(read(&path, 8).expect("absence is no error"), None);
        write(&path, b"content").expect("it can be written");
        assert_eq!(read(&path, 6).expect_err("too long").kind(), io::ErrorKind::InvalidData);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("permissions can be set");
        assert_eq!(read(&path, 8).expect_err("readable by the group").kind(), io::ErrorKind::PermissionDenied);
    }
}
