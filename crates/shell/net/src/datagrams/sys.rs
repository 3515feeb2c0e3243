//! The system calls, each with slices in place of pointers.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::libc;

use super::name::{Control, Name};

/// The option by which a socket gives datagrams that came one behind the other as one, with their length.
pub(super) const COALESCE: (i32, i32, i32) = (libc::SOL_UDP, libc::UDP_GRO, 1);

/// Headers of messages; the pointers in them are set before each call and never read after it.
pub(super) struct Headers {
    messages: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
}

/// A message to send: its parts are `parts` of the list of answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// Whom to.
    pub(super) name: Name,
    pub(super) control: Control,
    pub(super) first_part: usize,
    pub(super) parts: usize,
}

impl Headers {
    pub(super) fn new(len: usize) -> Self {
        // SAFETY: both are plain C structures of integers and pointers, for which all zeros is a value.
        let (message, part) = unsafe { (std::mem::zeroed::<libc::mmsghdr>(), std::mem::zeroed::<libc::iovec>()) };
        Self { messages: vec![message; len], parts: vec![part; len] }
    }

    /// Receives what there is without waiting, each datagram into the next `stride` octets of `buffers`, of which
    /// `room` are used. Gives how many; `lens`, `names` and, if there are any, `controls` say the rest.
    pub(super) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        buffers: &mut [u8],
        (stride, room): (usize, usize),
        names: &mut [Name],
        controls: &mut [Control],
        lens: &mut [usize],
    ) -> io::Result<usize> {
        let count = self.messages.len().min(names.len()).min(lens.len()).min(buffers.len() / stride.max(1));
        for (i, buffer) in buffers.chunks_exact_mut(stride).take(count).enumerate() {
            let buffer = buffer.get_mut(..room).unwrap_or_default();
            self.parts[i] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        }
        for (i, name) in names.iter_mut().enumerate().take(count) {
            let header = &mut self.messages[i].msg_hdr;
            header.msg_name = name.bytes.as_mut_ptr().cast();
            header.msg_namelen = name.bytes.len() as libc::socklen_t;
            header.msg_iov = &raw mut self.parts[i];
            header.msg_iovlen = 1;
            (header.msg_control, header.msg_controllen) = match controls.get_mut(i) {
                Some(control) => (control.bytes.as_mut_ptr().cast(), control.bytes.len() as _),
                None => (std::ptr::null_mut(), 0),
            };
            header.msg_flags = 0;
        }
        // SAFETY: the first `count` messages point to a part, a name and control room that are borrowed mutably for
        // the whole call, with their true lengths; the kernel writes nowhere else.
        let received = unsafe {
            let messages = self.messages.as_mut_ptr();
            libc::recvmmsg(socket.as_raw_fd(), messages, count as _, libc::MSG_DONTWAIT as _, std::ptr::null_mut())
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for i in 0..received {
            lens[i] = (self.messages[i].msg_len as usize).min(room);
            names[i].len = self.messages[i].msg_hdr.msg_namelen;
            if let Some(control) = controls.get_mut(i) {
                control.len = self.messages[i].msg_hdr.msg_controllen as _;
            }
        }
        Ok(received)
    }

    /// Sends `messages` without waiting, whose parts are the `(offset, length)` of `parts` in `answers`. Gives how many
    /// of them left; an error is the first one's.
    pub(super) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        messages: &[Message],
        parts: &[(usize, usize)],
        answers: &[u8],
    ) -> io::Result<usize> {
        let count = messages.len().min(self.messages.len());
        for (part, (offset, len)) in self.parts.iter_mut().zip(parts) {
            let answer = answers.get(*offset..offset + len).unwrap_or_default();
            *part = libc::iovec { iov_base: answer.as_ptr().cast_mut().cast(), iov_len: answer.len() };
        }
        for (header, message) in self.messages.iter_mut().zip(&messages[..count]) {
            let header = &mut header.msg_hdr;
            let parts = &self.parts[message.first_part..message.first_part + message.parts];
            header.msg_name = message.name.bytes.as_ptr().cast_mut().cast();
            header.msg_namelen = message.name.len;
            header.msg_iov = parts.as_ptr().cast_mut();
            header.msg_iovlen = parts.len() as _;
            header.msg_control = message.control.bytes.as_ptr().cast_mut().cast();
            header.msg_controllen = message.control.len as _;
            if message.control.len == 0 {
                header.msg_control = std::ptr::null_mut();
            }
            header.msg_flags = 0;
        }
        // SAFETY: the first `count` messages point to names, control messages and parts that are borrowed for the whole
        // call, with their true lengths. The kernel writes only to the headers, which are borrowed mutably.
        let sent = unsafe {
            let messages = self.messages.as_mut_ptr();
            libc::sendmmsg(socket.as_raw_fd(), messages, count as _, libc::MSG_DONTWAIT as _)
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Waits until one of the two can be read, or the first be written if `write`, or the time is over. Whether the first is ready.
pub(super) fn wait(
    first: BorrowedFd<'_>,
    second: Option<BorrowedFd<'_>>,
    write: bool,
    limit: Option<Duration>,
) -> io::Result<bool> {
    let events = if write { libc::POLLOUT } else { libc::POLLIN };
    let of = |fd: i32, events| libc::pollfd { fd, events, revents: 0 };
    // A negative descriptor is passed over.
    let mut both = [of(first.as_raw_fd(), events), of(second.map_or(-1, |fd| fd.as_raw_fd()), libc::POLLIN)];
    let limit = limit.map_or(-1, |limit| i32::try_from(limit.as_millis()).unwrap_or(i32::MAX));
    // SAFETY: the kernel reads and writes the two entries of the array alone.
    let ready = unsafe { libc::poll(both.as_mut_ptr(), both.len() as libc::nfds_t, limit) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) };
    }
    Ok(both[0].revents != 0)
}

/// Sets a socket option that is an integer: level, name and value.
pub(super) fn set_option(socket: BorrowedFd<'_>, (level, name, value): (i32, i32, i32)) -> io::Result<()> {
    let len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads the four octets of `value`, which lives until the call is done.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
