//! What reaches a terminal or a program's stdin: reports, tables, progress, and the filter in front of them.

pub mod foreign;
pub mod progress;
pub mod report;
pub mod sanitize;
pub mod stdout;
pub mod table;
