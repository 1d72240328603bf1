//! The names of an archive's member that do not fit its header.

/// Names that came in entries of their own, for the entry that follows.
#[derive(Default)]
pub(super) struct Names {
    /// Its path.
    pub(super) path: Option<Vec<u8>>,
    /// What it links to.
    pub(super) link: Option<Vec<u8>>,
}

impl Names {
    /// What a pax header says (POSIX pax, `path` and `linkpath`).
    pub(super) fn extend(&mut self, header: &[u8]) {
        for extension in tar::PaxExtensions::new(header).flatten() {
            match extension.key_bytes() {
                b"path" => self.path = Some(extension.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(extension.value_bytes().to_vec()),
                _ => {}
            }
        }
    }
}
