use std::fs::File;
use std::io::{self, BufWriter, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::FlowRecord;

/// A file of lines, compressed as they come.
#[derive(Debug)]
pub(crate) struct TextFile {
    out: GzEncoder<Counted>,
    line: String,
}

impl TextFile {
    pub(crate) fn new(file: File) -> Self {
        let counted = Counted { file: BufWriter::new(file), bytes: 0 };
        Self { out: GzEncoder::new(counted, Compression::default()), line: String::new() }
    }

    pub(crate) fn write(&mut self, record: &FlowRecord) -> io::Result<()> {
        use std::fmt::Write as _;
        self.line.clear();
        // Writing to a string does not fail.
        let _ = writeln!(self.line, "{record}");
        self.out.write_all(self.line.as_bytes())
    }

    /// Bytes that have left the compressor, which holds back some tens of kilobytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.out.get_ref().bytes
    }

    pub(crate) fn finish(self) -> io::Result<File> {
        self.out.finish()?.file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// A file and how much went into it.
#[derive(Debug)]
struct Counted {
    file: BufWriter<File>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
