//! OpenSSH user certificates (OpenSSH PROTOCOL.certkeys): [`Certificate`] parses and checks them, [`Authority`] signs them.
//!
//! Parsing accepts only a well-formed certificate. Checking compares it with what the caller expects ([`Expected`]) and
//! refuses everything else with a reason ([`Refusal`]).

mod authority;
mod certificate;
mod options;
mod refusal;
mod rsa;

pub use authority::{Authority, Terms, sign_elsewhere};
pub use certificate::{Certificate, Expected};
pub use options::is_well_formed_option;
pub use refusal::Refusal;
