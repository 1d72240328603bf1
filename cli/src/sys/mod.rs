//! This machine: environment, folders, files, locks, time. The only place with a platform seam below the transport.

pub mod atomic_file;
pub mod clock;
pub mod digest;
pub mod env;
pub mod folder;
pub mod interrupt;
pub mod keychain;
pub mod location;
pub mod lock;
#[cfg(unix)]
pub mod new_session;
#[cfg(unix)]
pub mod parent;
pub mod paths;
pub mod program;
pub mod project;
pub mod random;
pub mod secret;
pub mod socket_place;
pub mod standard_input;
pub mod subprocess;
pub mod trusted_file;
pub mod watched;

#[cfg(unix)]
#[path = "unix.rs"]
pub mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
pub mod platform;
