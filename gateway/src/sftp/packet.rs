//! The encoding of packets (draft-ietf-secsh-filexfer-02, section 3; RFC 4251, section 5).

use std::io;

/// Splits a whole packet off the front; `None` when it is not all there.
///
/// # Errors
/// When the packet is empty or longer than `limit`.
pub(super) fn split(bytes: &[u8], limit: usize) -> io::Result<Option<(&[u8], &[u8])>> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length == 0 || length > limit {
        return Err(malformed());
    }
    Ok(rest.split_at_checked(length))
}

pub(super) fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Reads the fields of a packet, in order.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(packet: &'a [u8]) -> Self {
        Reader(packet)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn byte(&mut self) -> io::Result<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn string(&mut self) -> io::Result<&'a [u8]> {
        let length = self.u32()? as usize;
        let (string, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(string)
    }
}

/// Appends one packet to an output.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    /// Begins a packet of a type.
    pub(super) fn new(out: &'a mut Vec<u8>, kind: u8) -> Self {
        let start = out.len();
        out.extend([0, 0, 0, 0, kind]);
        Writer { out, start }
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.out.extend(value.to_be_bytes());
        self
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.out.extend(value.to_be_bytes());
        self
    }

    pub(super) fn string(&mut self, value: &[u8]) -> &mut Self {
        self.u32(u32::try_from(value.len()).unwrap_or_default());
        self.out.extend_from_slice(value);
        self
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let length = u32::try_from(self.out.len() - self.start - 4).unwrap_or_default();
        if let Some(place) = self.out.get_mut(self.start..self.start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that cannot go on should say where

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        Writer::new(&mut out, 101).u32(7).u64(1 << 40).string(b"n\xffame");
        let (packet, rest) = split(&out, 100).unwrap().unwrap();
        assert!(rest.is_empty());
        let mut reader = Reader::new(packet);
        assert_eq!(reader.byte().unwrap(), 101);
        assert_eq!(reader.u32().unwrap(), 7);
        assert_eq!(reader.u64().unwrap(), 1 << 40);
        assert_eq!(reader.string().unwrap(), b"n\xffame");
        assert!(reader.byte().is_err());
    }

    #[test]
    fn partial_packets_wait_bad_lengths_fail() {
        assert!(split(&[0, 0, 0], 100).unwrap().is_none());
        assert!(split(&[0, 0, 0, 2, 1], 100).unwrap().is_none());
        assert!(split(&[0, 0, 0, 0], 100).is_err());
        assert!(split(&[0, 0, 0, 101], 100).is_err());
        assert!(Reader::new(&[0, 0, 0, 9, 1]).string().is_err());
    }
}
