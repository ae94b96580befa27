//! Where the server's binary is.

use std::{
    env,
    ffi::OsStr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::exit::{self, Exit};

/// What it is called.
const NAME: &str = "sovereign";

/// The file that was named; else the one beside this program; else the first on the path.
pub(crate) fn find(named: Option<&Path>) -> Result<PathBuf, Exit> {
    let own = env::current_exe().ok();
    find_in(named, own.as_deref(), env::var_os("PATH").as_deref())
}

fn find_in(named: Option<&Path>, own: Option<&Path>, path: Option<&OsStr>) -> Result<PathBuf, Exit> {
    if let Some(named) = named {
        if !is_program(named) {
            return Err(Exit::failed(
                exit::UNAVAILABLE,
                format!("{} is no program: --server names the server's binary", named.display()),
            ));
        }
        return Ok(std::path::absolute(named)?);
    }
    let beside = own.map(|own| own.with_file_name(NAME));
    let on_path = path.map(|path| env::split_paths(path).map(|directory| directory.join(NAME)).collect::<Vec<_>>());
    let found = beside.into_iter().chain(on_path.unwrap_or_default()).find(|candidate| is_program(candidate));
    let found = found.map(|found| std::path::absolute(&found)).transpose()?;
    found.ok_or_else(|| {
        let text = "there is no server here: no `sovereign` beside sov, and none on the PATH.\n\
                    Build it in the repository with `cargo build --release`, and say where it is:\n    \
                    sov demo --server target/release/sovereign";
        Exit::failed(exit::UNAVAILABLE, text)
    })
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn program(directory: &Path, mode: u32) -> PathBuf {
        fs::create_dir_all(directory).expect("a directory");
        let path = directory.join(NAME);
        fs::write(&path, "").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
        path
    }

    #[test]
    fn the_named_one_goes_before_the_neighbour_and_the_neighbour_before_the_path() {
        let root = tempfile::tempdir().expect("a directory");
        let own = root.path().join("bin/sov");
        let path = env::join_paths([root.path().join("nothing"), root.path().join("path")]).expect("a path");
        let look = |named: Option<&Path>| find_in(named, Some(&own), Some(&path));

        let nobody = look(None).expect_err("there is none");
        assert_eq!(nobody.code, exit::UNAVAILABLE);
        assert!(nobody.message.contains("cargo build --release"), "{nobody}");

        let on_path = program(&root.path().join("path"), 0o755);
        assert_eq!(look(None).expect("found"), on_path);
        let beside = program(&root.path().join("bin"), 0o644);
        assert_eq!(look(None).expect("found"), on_path, "a file that cannot be run is no program");
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).expect("permissions");
        assert_eq!(look(None).expect("found"), beside);
        let named = program(&root.path().join("named"), 0o755);
        assert_eq!(look(Some(&named)).expect("found"), named);
        assert_eq!(look(Some(&root.path().join("none"))).expect_err("no such file").code, exit::UNAVAILABLE);
        assert!(look(Some(root.path())).is_err(), "a directory is no program");
    }
}
