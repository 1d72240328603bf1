//! The control plane that `runcode login URL` keeps for later commands. Only the user names it, so a project cannot choose it.

use crate::error::Result;
use crate::origin::hosted::BaseUrl;
use crate::sys::atomic_file;
use crate::sys::paths::Paths;

/// The longest base that is kept, in bytes.
const MAX_BYTES: usize = 2048;

/// The kept base. A file that holds anything else counts as none.
pub fn read(paths: &Paths) -> Result<Option<BaseUrl>> {
    let file = paths.kept_base();
    if !file.exists() || !atomic_file::is_own_dir(paths.config())? {
        return Ok(None);
    }
    let bytes = atomic_file::read(&file, MAX_BYTES)?;
    Ok(bytes.and_then(|bytes| BaseUrl::parse(std::str::from_utf8(&bytes).ok()?.trim()).ok()))
}

/// Keeps a base. The hosted one needs no keeping.
pub fn keep(paths: &Paths, base: &BaseUrl) -> Result<()> {
    if base.is_hosted() {
        return atomic_file::remove(&paths.kept_base()).map(drop);
    }
    atomic_file::private_dir(paths.config())?;
    atomic_file::write(&paths.kept_base(), format!("{base}\n").as_bytes(), 0o600)
}

/// Forgets this base, or whichever base is kept if none is given.
pub fn forget(paths: &Paths, base: Option<&BaseUrl>) -> Result<()> {
    if base.is_none() || read(paths)?.as_ref() == base {
        atomic_file::remove(&paths.kept_base())?;
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;
    use crate::sys::env::{Env, Var};

    #[test]
    fn a_kept_base_goes_with_its_login() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::from_env(&Env::fixed([(Var::Home, folder.path())])).unwrap();
        let base = |text: &str| BaseUrl::parse(text).unwrap();
        let (a, b) = (base("https://a.example"), base("http://127.0.0.1:7"));
        assert_eq!(read(&paths).unwrap(), None);
        keep(&paths, &a).unwrap();
        forget(&paths, Some(&b)).unwrap();
        assert_eq!(read(&paths).unwrap(), Some(a.clone()));
        forget(&paths, Some(&a)).unwrap();
        assert_eq!(read(&paths).unwrap(), None);
        keep(&paths, &b).unwrap();
        keep(&paths, &base(BaseUrl::HOSTED_API)).unwrap();
        assert_eq!(read(&paths).unwrap(), None);
        for odd in ["", "http://evil.example", "https://a.example\nx", "\0"] {
            std::fs::write(paths.kept_base(), odd).unwrap();
            assert_eq!(read(&paths).unwrap(), None, "{odd:?}");
        }
        keep(&paths, &b).unwrap();
        forget(&paths, None).unwrap();
        assert_eq!(read(&paths).unwrap(), None);
    }
}
