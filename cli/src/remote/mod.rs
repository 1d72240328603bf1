//! What runcode itself runs on a workspace to learn about it: each a script and its parser.

mod answer;
pub mod context;
pub mod health;
pub mod listening;
