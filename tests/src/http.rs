//! A small HTTP/1.1 client that does nothing behind the test's back: one connection, no retry, no redirect.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

/// Longest body that is read.
const BODY_MAX: u64 = 16 << 20;

/// Opens a TCP connection from `source`. Reads and writes give up after `limit`, as does the connect.
pub fn connect(to: SocketAddr, source: Option<IpAddr>, limit: Duration) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(source) = source {
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect_timeout(&to.into(), limit)?;
    let stream: TcpStream = socket.into();
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    Ok(stream)
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Client {
    /// Connects from `source`; two seconds for the connect and for each answer.
    pub fn open(to: SocketAddr, source: Option<IpAddr>) -> std::io::Result<Self> {
        let stream = connect(to, source, Duration::from_secs(2))?;
        Ok(Self { stream: BufReader::new(stream), host: to })
    }

    /// With another limit on each answer.
    pub fn patient(self, limit: Duration) -> std::io::Result<Self> {
        self.stream.get_ref().set_read_timeout(Some(limit))?;
        Ok(self)
    }

    /// `GET path`.
    pub fn get(&mut self, path: &str) -> std::io::Result<Answer> {
        self.send("GET", path, None)
    }

    /// `POST path` with JSON.
    pub fn post(&mut self, path: &str, body: &Value) -> std::io::Result<Answer> {
        self.send("POST", path, Some(body))
    }

    fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Answer> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        if body.is_some() {
            head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", text.len());
        }
        self.stream.get_mut().write_all(format!("{head}\r\n{text}").as_bytes())?;
        read_answer(&mut self.stream)
    }
}

/// Reads one answer with a Content-Length, or up to the end of the connection.
pub fn read_answer(stream: &mut impl BufRead) -> std::io::Result<Answer> {
    let bad = |what: &str| std::io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let status = line.split(' ').nth(1).and_then(|s| s.trim().parse().ok()).ok_or_else(|| bad(&line))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok());
    let mut body = Vec::new();
    stream.take(length.unwrap_or(BODY_MAX).min(BODY_MAX)).read_to_end(&mut body)?;
    if length.is_some_and(|length| length != body.len() as u64) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Answer { status, headers, body })
}

impl Answer {
    /// A field's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The region that answered, as the built-in application says.
    pub fn region(&self) -> &str {
        self.header("x-perigee-region").unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Panics if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {:?}", self.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says_and_a_short_one_is_an_error() {
        let mut two =
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Perigee-Region: r\r\n\r\nokHTTP/1.1 404 Not\r\n\r\nx"[..];
        let first = read_answer(&mut two).unwrap();
        assert_eq!((first.status, first.region(), first.text().as_str()), (200, "r", "ok"));
        assert_eq!(read_answer(&mut two).unwrap().status, 404);
        assert!(read_answer(&mut &b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"[..]).is_err());
        assert!(read_answer(&mut &b"nonsense\r\n\r\n"[..]).is_err());
    }
}
