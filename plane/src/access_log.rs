//! The access log: one JSON object per line, never with a token, a key or a command's content.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::error::Error;

/// Where events go; without a file they go nowhere.
#[derive(Default)]
pub struct AccessLog {
    file: Option<Mutex<File>>,
}

impl AccessLog {
    /// Opens the file, which is made if need be, for this user alone; without one, events go nowhere.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(AccessLog::default()) };
        let mut options = OpenOptions::new();
        // One that is there already may be a terminal or a pipe, and keeps its mode.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .create(true)
            .append(true)
            .open(path)
            .map_err(Error::io(format!("the access log {}", path.display())))?;
        Ok(AccessLog { file: Some(Mutex::new(file)) })
    }

    /// Appends `event` with the time and its `fields`. A log that cannot be written stops nothing.
    pub fn write(&self, event: &str, fields: Value) {
        let Some(file) = &self.file else { return };
        let mut line = json!({ "time": jiff::Timestamp::now().to_string(), "event": event });
        if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
            line.extend(fields);
        }
        let mut text = line.to_string();
        text.push('\n');
        if let Ok(mut file) = file.lock() {
            let _ = file.write_all(text.as_bytes());
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use super::*;

    #[test]
    fn a_new_log_is_for_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        AccessLog::open(Some(&path)).unwrap().write("event", json!({}));
        let permissions = std::fs::metadata(path).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o600);
    }
}
