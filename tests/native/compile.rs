//! Compiles the libraries of this folder, in one way for everybody who loads them: warnings are errors.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Compiles `NAME.c` of the folder `sources`, which is this one, to `NAME.so` in `directory`, which is made where there is
/// none.
///
/// # Errors
/// There is no C compiler, which the server's build needs, too; or it refuses the source.
pub(crate) fn library(sources: &Path, name: &str, directory: &Path) -> io::Result<PathBuf> {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    fs::create_dir_all(directory)?;
    let source = sources.join(name).with_extension("c");
    let library = directory.join(name).with_extension("so");
    // Made beside it first: another process may load it now.
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let fresh = directory.join(format!("{name}-{}-{number}.so", std::process::id()));
    let compiled = Command::new("cc")
        .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&fresh, &source])
        .arg("-ldl")
        .status()
        .map_err(|error| io::Error::new(error.kind(), format!("cc, a C compiler, cannot be run: {error}")))?;
    if !compiled.success() {
        return Err(io::Error::other(format!("{} does not compile ({compiled})", source.display())));
    }
    fs::rename(fresh, &library)?;
    Ok(library)
}
