use prometheus_client::metrics::counter::Counter;

/// Bytes read at once: the buffer that all flows of a worker share.
pub(super) const CHUNK: usize = 64 * 1024;
/// Bytes read at once while the backlogs are many.
const SMALL_CHUNK: usize = 4 * 1024;
/// Bytes of large backlogs of a worker (Perigee's choice). Beyond that flows read small chunks, so that a crowd of slow
/// readers costs 4 KiB each.
const MAX: usize = 64 << 20;
/// Free buffers kept.
const KEPT: usize = 32;

/// Bytes that were read and that the other side did not take yet.
#[derive(Debug)]
pub(super) struct Backlog {
    buffer: Box<[u8]>,
    start: u32,
    end: u32,
}

/// The buffers of a worker's backlogs.
#[derive(Debug)]
pub(super) struct Backlogs {
    free: Vec<Box<[u8]>>,
    /// Bytes of the buffers lent.
    lent: usize,
    /// Counts how often a flow had to read small chunks.
    tight: Counter,
}

impl Backlog {
    /// What waits.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start as usize..self.end as usize]
    }

    /// Takes off what was written.
    pub(super) fn written(&mut self, bytes: usize) {
        self.start += bytes as u32;
    }
}

impl Backlogs {
    pub(super) const fn new(tight: Counter) -> Self {
        Self { free: Vec::new(), lent: 0, tight }
    }

    /// How many bytes may be read at once now: all of them may have to be kept.
    pub(super) fn chunk(&self) -> usize {
        if self.lent < MAX {
            return CHUNK;
        }
        self.tight.inc();
        SMALL_CHUNK
    }

    /// Keeps bytes, at most [`CHUNK`].
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Backlog {
        let size = if bytes.len() > SMALL_CHUNK { CHUNK } else { SMALL_CHUNK };
        let pooled = if size == CHUNK { self.free.pop() } else { None };
        let mut buffer = pooled.unwrap_or_else(|| vec![0; size].into());
        buffer[..bytes.len()].copy_from_slice(bytes);
        self.lent += size;
        Backlog { buffer, start: 0, end: bytes.len() as u32 }
    }

    /// Takes a buffer back, whatever is in it.
    pub(super) fn give_back(&mut self, backlog: Backlog) {
        self.lent -= backlog.buffer.len();
        if backlog.buffer.len() == CHUNK && self.free.len() < KEPT {
            self.free.push(backlog.buffer);
        }
    }

    /// Bytes of the buffers lent.
    #[cfg(test)]
    pub(super) const fn lent(&self) -> usize {
        self.lent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_in_order_and_costs_little_when_many_wait() {
        let tight = Counter::default();
        let mut backlogs = Backlogs::new(tight.clone());
        let mut one = backlogs.keep(b"abc");
        one.written(1);
        assert_eq!((one.bytes(), backlogs.lent()), (&b"bc"[..], SMALL_CHUNK));
        let many: Vec<Backlog> = (0..MAX / CHUNK).map(|_| backlogs.keep(&[7; CHUNK])).collect();
        assert_eq!((backlogs.chunk(), tight.get()), (SMALL_CHUNK, 1));
        many.into_iter().chain([one]).for_each(|backlog| backlogs.give_back(backlog));
        assert_eq!((backlogs.lent(), backlogs.chunk(), backlogs.free.len()), (0, CHUNK, KEPT));
    }
}
