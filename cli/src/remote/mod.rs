//! What runcode itself runs on a workspace to learn about it: each a script and its parser.

pub mod context;
pub mod listening;
