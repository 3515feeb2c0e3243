use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use perigee_model::FlowLogFormat;

use crate::parquet_file::ParquetFile;
use crate::rotation::{is_full, period, period_end};
use crate::text_file::TextFile;
use crate::{Destination, FlowRecord, key};

/// After a file could not be written its accelerator's records are dropped for so long before the next attempt
/// (Perigee's choice: a full disk is not asked a thousand times a second).
const RETRY_S: u64 = 10;

/// The files that are being written, one for each destination with traffic.
///
/// A file has a hidden name until it is whole, `.NAME.part`, and then its own at once: whoever reads a directory sees
/// no half file. What a crash leaves behind stays hidden.
#[derive(Debug)]
pub(crate) struct Files {
    open: BTreeMap<Destination, LogFile>,
    /// When destinations that failed may be tried again, seconds since 1970.
    retry_s: BTreeMap<Destination, u64>,
    writer: u64,
    serial: u64,
}

/// What became of a record or a file.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is in its file.
    Written,
    /// Its destination failed a moment ago; it is dropped.
    Skipped,
    /// Its destination fails now; it is dropped, and so is what the file held.
    Failed(io::Error),
}

impl Files {
    /// None yet. `writer` tells the names of this process's files from those of others.
    pub(crate) fn new(writer: u64) -> Self {
        Self { open: BTreeMap::new(), retry_s: BTreeMap::new(), writer, serial: 0 }
    }

    /// Puts records in the file of their destination, which is begun if there is none. Files that are full must have
    /// been [`Self::rotate`]d before.
    pub(crate) fn write(&mut self, destination: &Destination, records: [FlowRecord; 2], now_s: u64) -> Outcome {
        if self.retry_s.get(destination).is_some_and(|retry_s| now_s < *retry_s) {
            return Outcome::Skipped;
        }
        let written = self.file(destination, now_s).and_then(|file| file.write(records));
        match written {
            Ok(()) => Outcome::Written,
            Err(error) => {
                if let Some(file) = self.open.remove(destination) {
                    file.abandon();
                }
                self.retry_s.insert(destination.clone(), now_s.saturating_add(RETRY_S));
                Outcome::Failed(error)
            }
        }
    }

    fn file(&mut self, destination: &Destination, now_s: u64) -> io::Result<&mut LogFile> {
        use std::collections::btree_map::Entry;
        match self.open.entry(destination.clone()) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(vacant) => {
                let period_s = period(now_s);
                let hash = key::hash(self.writer, self.serial, period_s);
                self.serial += 1;
                let path = destination.path(&destination.key(period_s, hash));
                let file = LogFile::create(path, destination.format, period_s)?;
                self.retry_s.remove(destination);
                Ok(vacant.insert(file))
            }
        }
    }

    /// Ends the files that are full at `now_s`, or all of them: gives each file's path, or why it is not there.
    pub(crate) fn rotate(&mut self, now_s: u64, all: bool) -> Vec<io::Result<PathBuf>> {
        let full = self.open.extract_if(.., |_, file| all || is_full(file.period_s, file.bytes(), now_s));
        full.map(|(_, file)| file.publish()).collect()
    }

    /// When the first of the open files ends, seconds since 1970; none without open files.
    pub(crate) fn next_end_s(&self) -> Option<u64> {
        self.open.values().map(|file| period_end(file.period_s)).min()
    }
}

#[derive(Debug)]
struct LogFile {
    body: Body,
    /// Its name while it is written.
    part: PathBuf,
    path: PathBuf,
    period_s: u64,
}

#[derive(Debug)]
enum Body {
    Text(Box<TextFile>),
    Parquet(Box<ParquetFile>),
}

impl LogFile {
    fn create(path: PathBuf, format: FlowLogFormat, period_s: u64) -> io::Result<Self> {
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(directory)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let part = directory.join(format!(".{name}.part"));
        let file = File::create(&part)?;
        let body = match format {
            FlowLogFormat::Text => Body::Text(Box::new(TextFile::new(file))),
            FlowLogFormat::Parquet => Body::Parquet(Box::new(ParquetFile::new(file)?)),
        };
        Ok(Self { body, part, path, period_s })
    }

    fn write(&mut self, records: [FlowRecord; 2]) -> io::Result<()> {
        for record in records {
            match &mut self.body {
                Body::Text(file) => file.write(&record)?,
                Body::Parquet(file) => file.write(record)?,
            }
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        match &self.body {
            Body::Text(file) => file.bytes(),
            Body::Parquet(file) => file.bytes(),
        }
    }

    /// Gives the file its own name, once all of it is on the disk.
    fn publish(self) -> io::Result<PathBuf> {
        let finished = match self.body {
            Body::Text(file) => file.finish(),
            Body::Parquet(file) => file.finish(),
        };
        let published = finished.and_then(|file| file.sync_all()).and_then(|()| fs::rename(&self.part, &self.path));
        if let Err(error) = published {
            let _ = fs::remove_file(&self.part);
            return Err(error);
        }
        Ok(self.path)
    }

    fn abandon(self) {
        // A file that cannot be removed stays hidden.
        let _ = fs::remove_file(&self.part);
    }
}

#[cfg(test)]
pub(crate) mod tests;
