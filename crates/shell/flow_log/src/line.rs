use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use perigee_model::{PopCode, RegionCode};
use thiserror::Error;

use crate::record::ACTION;
use crate::{Direction, EdgeSource, FlowIdentity, FlowRecord, LogStatus};

/// Longest line that is read, bytes; what is written stays far below.
pub const LINE_MAX: usize = 1_024;

/// What a field says when it does not apply.
const NOTHING: &str = "-";

/// Why a line is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LineError {
    /// It is longer than [`LINE_MAX`].
    #[error("the line has more than {LINE_MAX} bytes")]
    TooLong,
    /// There are fewer or more fields than the version has: 23 in version 1.0, 24 in 2.0.
    #[error("a record of this version has {wanted} fields between single spaces")]
    Fields {
        /// How many there should be.
        wanted: usize,
    },
    /// A field does not hold what it must.
    #[error("{name} must be {wanted}")]
    Field {
        /// The field's name in the guide.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
}

impl fmt::Display for FlowRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = &*self.flow;
        let end = flow.edge_end();
        write!(f, "{} {} {} ", flow.version(), flow.account, flow.accelerator)?;
        for end in [flow.client, flow.destination, flow.endpoint] {
            write!(f, "{} {} ", end.ip(), end.port())?;
        }
        write!(f, "{} {} {} {} ", flow.protocol, flow.ip_address_type(), self.packets, self.bytes)?;
        write!(f, "{} {} {ACTION} {} ", self.start_s, self.end_s, self.status.name())?;
        match end {
            Some(end) => write!(f, "{} {} ", end.ip(), end.port())?,
            None => write!(f, "{NOTHING} 0 ")?,
        }
        write!(f, "{} {} {} ", flow.endpoint_region, flow.edge, self.direction.name())?;
        if matches!(flow.source, EdgeSource::Client { .. }) {
            write!(f, "{} ", flow.vpc_id().unwrap_or(NOTHING))?;
        }
        f.write_str(NOTHING)
    }
}

impl FlowRecord {
    /// Reads a line as [`FlowRecord`]'s `Display` writes it, without its end: the documented fields between single
    /// spaces, `-` for what does not apply; version 1.0 has no `vpc_id`.
    ///
    /// Errors: the first thing that is wrong. Nothing is skipped or repaired.
    pub fn from_line(line: &str) -> Result<Self, LineError> {
        if line.len() > LINE_MAX {
            return Err(LineError::TooLong);
        }
        let mut fields = Fields { rest: line.split(' '), wanted: 23 };
        let preserved = fields.one_of("version", "1.0 or 2.0", &[("1.0", false), ("2.0", true)])?;
        fields.wanted += usize::from(preserved);
        let account = fields.parsed("aws_account_id", "12 digits")?;
        let accelerator = fields.parsed("accelerator_id", "a UUID in small letters")?;
        let client = fields.end("client_ip", "client_port")?;
        let destination = fields.end("accelerator_ip", "accelerator_port")?;
        let endpoint = fields.end("endpoint_ip", "endpoint_port")?;
        let protocol = fields.number("protocol", "a protocol's number, 0 to 255")?;
        let types = [("IPV4", true), ("IPV6", false)];
        let is_ipv4 = fields.one_of("ip_address_type", "IPV4 or IPV6", &types)?;
        if [client.is_ipv4(), destination.is_ipv4()] != [is_ipv4; 2] {
            let wanted = "the type of the client's and the accelerator's address";
            return Err(LineError::Field { name: "ip_address_type", wanted });
        }
        let packets = fields.number("packets", COUNT)?;
        let bytes = fields.number("bytes", COUNT)?;
        let start_s = fields.number("start_time", COUNT)?;
        let end_s = fields.number("end_time", COUNT)?;
        if end_s < start_s {
            return Err(LineError::Field { name: "end_time", wanted: "not before start_time" });
        }
        fields.one_of("action", "ACCEPT", &[(ACTION, ())])?;
        let statuses = [LogStatus::Ok, LogStatus::SkipData].map(|s| (s.name(), s));
        let status = fields.one_of("log-status", "OK or SKIPDATA", &statuses)?;
        let edge_end = fields.edge_end()?;
        let endpoint_region = fields.word("endpoint_region")?;
        let edge = fields.word("globalaccelerator_region")?;
        let directions = [Direction::Ingress, Direction::Egress].map(|d| (d.name(), d));
        let direction = fields.one_of("direction", "INGRESS or EGRESS", &directions)?;
        let source = match (preserved, edge_end) {
            (false, end) => EdgeSource::Edge(end),
            (true, None) => {
                let vpc_id = fields.next()?;
                if vpc_id == NOTHING {
                    EdgeSource::Client { vpc_id: None }
                } else {
                    EdgeSource::Client { vpc_id: Some(word("vpc_id", vpc_id)?.into()) }
                }
            }
            (true, Some(_)) => {
                return Err(LineError::Field { name: "globalaccelerator_source_ip", wanted: "- in version 2.0" });
            }
        };
        fields.one_of("reject_reason", "-: nothing is rejected", &[(NOTHING, ())])?;
        if fields.rest.next().is_some() {
            return Err(LineError::Fields { wanted: fields.wanted });
        }
        let (endpoint_region, edge) = (RegionCode::new(endpoint_region), PopCode::new(edge));
        let flow = FlowIdentity {
            account,
            accelerator,
            client,
            destination,
            endpoint,
            protocol,
            source,
            endpoint_region,
            edge,
        };
        Ok(Self { flow: Arc::new(flow), packets, bytes, start_s, end_s, status, direction })
    }
}

const COUNT: &str = "a whole number from 0";

/// The fields that are still to be read.
struct Fields<'a> {
    rest: std::str::Split<'a, char>,
    wanted: usize,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<&'a str, LineError> {
        self.rest.next().ok_or(LineError::Fields { wanted: self.wanted })
    }

    fn parsed<T: FromStr>(&mut self, name: &'static str, wanted: &'static str) -> Result<T, LineError> {
        self.next()?.parse().map_err(|_| LineError::Field { name, wanted })
    }

    /// A number as it is written: no sign, no leading zero.
    fn number<T: FromStr>(&mut self, name: &'static str, wanted: &'static str) -> Result<T, LineError> {
        let text = self.next()?;
        let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        plain.then(|| text.parse().ok()).flatten().ok_or(LineError::Field { name, wanted })
    }

    fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        wanted: &'static str,
        known: &[(&str, T)],
    ) -> Result<T, LineError> {
        let text = self.next()?;
        known.iter().find(|(k, _)| *k == text).map(|(_, v)| *v).ok_or(LineError::Field { name, wanted })
    }

    fn end(&mut self, ip: &'static str, port: &'static str) -> Result<SocketAddr, LineError> {
        let address: IpAddr = self.parsed(ip, "an address")?;
        Ok(SocketAddr::new(address, self.number(port, PORT)?))
    }

    fn edge_end(&mut self) -> Result<Option<SocketAddr>, LineError> {
        let (ip, port) = ("globalaccelerator_source_ip", "globalaccelerator_source_port");
        let text = self.next()?;
        if text == NOTHING {
            self.one_of(port, "0 without an address", &[("0", ())])?;
            return Ok(None);
        }
        let address: IpAddr = text.parse().map_err(|_| LineError::Field { name: ip, wanted: "an address or -" })?;
        Ok(Some(SocketAddr::new(address, self.number(port, PORT)?)))
    }

    fn word(&mut self, name: &'static str) -> Result<&'a str, LineError> {
        word(name, self.next()?)
    }
}

const PORT: &str = "a port, 0 to 65535";

/// A name of letters, digits and `-` that does not begin with `-`.
fn word<'a>(name: &'static str, text: &'a str) -> Result<&'a str, LineError> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits && !text.starts_with('-') {
        Ok(text)
    } else {
        Err(LineError::Field { name, wanted: "1 to 64 letters, digits and -" })
    }
}

#[cfg(test)]
pub(crate) mod tests;
