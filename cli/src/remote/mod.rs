//! What runcode itself runs on a workspace to learn about it: each a script and its parser.

mod answer;
pub mod context;
pub mod file_facts;
pub mod health;
pub mod jobs;
pub mod listening;
