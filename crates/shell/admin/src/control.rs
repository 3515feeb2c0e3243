use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An answer that takes a while.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is asked to be explained.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// The client.
    pub client: IpAddr,
    /// The `Host` of the request; none for the accelerator's first listener.
    pub host: Option<String>,
    /// The path; `/` if absent.
    #[serde(default = "root")]
    pub path: String,
    /// The method; `GET` if absent.
    #[serde(default = "get")]
    pub method: String,
    /// Header fields by lower-case name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A DNS name whose answer is to be explained in place of a request.
    #[serde(default)]
    pub dns: Option<ExplainName>,
}

/// A DNS question to be explained.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainName {
    /// The whole name.
    pub name: String,
    /// The type's mnemonic.
    pub record_type: String,
    /// The resolver that asks for the client and passes on its subnet; none when the client asks itself.
    pub resolver: Option<IpAddr>,
}

fn root() -> String {
    "/".to_owned()
}

fn get() -> String {
    "GET".to_owned()
}

/// Which port mappings of custom routing accelerators are asked for; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mappings {
    /// Those of one accelerator, by its name.
    pub accelerator: Option<String>,
    /// Those that lead to this address.
    pub destination: Option<Ipv4Addr>,
    /// Where to begin: `next` of the page before.
    pub from: Option<MappingCursor>,
    /// Rows of the page, 1 to 20000; 1000 if absent.
    pub max_results: Option<u32>,
}

/// A place in the list of port mappings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingCursor {
    /// The accelerator.
    pub accelerator: String,
    /// Its first port of the page.
    pub port: u16,
}

/// What is to be broken, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// A region, a zone, an edge's code, a network zone (`zone-a`), a load balancer (`region/name`), a target
    /// (`address:port`) or a DNS health check (`check:NAME`, `unhealthy` only).
    pub what: String,
    /// `crash`, `blackhole`, `error`, `slow`, or `unhealthy` (the operator's word; nothing is broken).
    pub how: String,
    /// Delay of `slow` in milliseconds, 1 to 60000; 1000 if absent.
    pub delay_ms: Option<u64>,
}

/// What is to be mended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// As for [`Kill`].
    pub what: String,
}

/// Why something could not be done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ControlError {
    /// The request makes no sense; nothing changed.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It was refused as a whole and the old state holds; one line per problem.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
}

/// What a process lets itself be asked.
pub trait Control: Send + Sync + 'static {
    /// Whether it serves; otherwise what is missing.
    fn ready(&self) -> Result<(), String>;
    /// Regions, zones, targets, health, flows.
    fn status(&self) -> Value;
    /// The latest changes of health, oldest first.
    fn events(&self) -> Value;
    /// The way of one request; sends nothing.
    fn explain(&self, request: Explain) -> Result<Value, ControlError>;
    /// Where the ports of custom routing accelerators lead, a page of it.
    fn mappings(&self, request: Mappings) -> Result<Value, ControlError>;
    /// Breaks something on purpose; done when every new connect meets the fault.
    fn kill(&self, request: Kill) -> Pending<'_, Result<Value, ControlError>>;
    /// Mends it.
    fn restore(&self, request: Restore) -> Pending<'_, Result<Value, ControlError>>;
    /// Reads the configuration again and applies it whole, or refuses it whole.
    fn reload(&self) -> Pending<'_, Result<Value, ControlError>>;
}
