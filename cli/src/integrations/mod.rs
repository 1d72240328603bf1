//! Other programs' files that we write into at the user's word, and take ourselves out of again byte for byte.

pub mod claude_settings;
pub mod codex_environments;
pub mod editor_shapes;
pub mod host_names;
pub mod json_object;
pub mod managed_block;
pub mod shell_path;
pub mod shell_word;
pub mod ssh_config_block;
pub mod stable_path;
pub mod text_diff;
pub mod user_file;
