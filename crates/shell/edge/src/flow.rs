use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use perigee_dataplane::{ConnectFailure, Connection, Output, Refusal};
use perigee_model::{Behaviour, ClientIp, Settings};
use perigee_net::{Clock, HostStream, connect, proxy_protocol};
use perigee_steering::{Approach, Candidate, Flow, ProxyHeader};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Front;
use perigee_net::Host;

/// Brings a flow to an endpoint: drives its machine with real connects and real time.
///
/// Gives the endpoint's connection, ready for the client's bytes. Dropping the future abandons every attempt.
pub(crate) async fn establish(
    mut connection: Connection,
    flow: &Flow,
    front: &Arc<Front>,
    host: &Host,
    clock: Clock,
    moved_on: impl Fn(),
) -> Result<(HostStream, Candidate), Refusal> {
    let Settings { behaviour, client_ip, .. } = connection.view().snapshot.settings;
    let edge: Arc<str> = connection.view().atlas.pops()[connection.pop().0].code.as_str().into();
    let mut attempts: JoinSet<(usize, io::Result<HostStream>)> = JoinSet::new();
    let mut running = Vec::new();
    let mut ready: Option<HostStream> = None;
    loop {
        while let Some(output) = connection.poll_output() {
            match output {
                Output::Connect { attempt, candidate } => {
                    if attempt > 0 {
                        moved_on();
                    }
                    let (host, flow, edge) = (host.clone(), *flow, edge.clone());
                    let task = attempts.spawn(async move {
                        (attempt, open(&host, (behaviour, client_ip), &flow, &candidate, &edge).await)
                    });
                    running.push((attempt, task));
                }
                Output::Abandon { attempt } => {
                    running.iter().filter(|(a, _)| *a == attempt).for_each(|(_, task)| task.abort());
                }
                Output::Use { candidate, .. } => {
                    // The machine speaks of the attempt just reported, whose stream is in hand.
                    let stream = ready.take().ok_or(Refusal::Refused)?;
                    drain_evidence(&mut connection, front);
                    return Ok((stream, candidate));
                }
                Output::Refuse(refusal) => return Err(refusal),
                Output::Evidence { subject, evidence } => front.evidence(&subject, evidence),
            }
        }
        let timer = async {
            match connection.poll_timeout() {
                Some(at) => tokio::time::sleep_until(clock.deadline(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(joined) = attempts.join_next() => match joined {
                Ok((attempt, Ok(stream))) => {
                    ready = Some(stream);
                    connection.connected(attempt);
                }
                Ok((attempt, Err(error))) => connection.failed(attempt, failure_of(&error), clock.now()),
                // Abandoned.
                Err(_) => {}
            },
            () = timer => connection.handle_timeout(clock.now()),
        }
    }
}

fn drain_evidence(connection: &mut Connection, front: &Front) {
    while let Some(output) = connection.poll_output() {
        if let Output::Evidence { subject, evidence } = output {
            front.evidence(&subject, evidence);
        }
    }
}

/// Opens the second connection so that the endpoint learns who the client is, as far as it is to.
async fn open(
    host: &Host,
    (behaviour, client_ip): (Behaviour, ClientIp),
    flow: &Flow,
    candidate: &Candidate,
    edge: &str,
) -> io::Result<HostStream> {
    let Approach { source, header } = candidate.approach(flow.client.ip(), client_ip);
    let mut stream = connect(host, source, candidate.address).await?;
    if let Some(header) = header {
        let header = match header {
            ProxyHeader::Client => proxy_protocol::encode(flow.client, flow.destination, edge),
            ProxyHeader::Local => proxy_protocol::encode_local(),
        };
        if behaviour == Behaviour::Fast {
            // A stopped node's kernel still accepts: only the node's own word says that somebody is there.
            stream.write_all(&proxy_protocol::asking_for_confirmation(header)).await?;
            proxy_protocol::confirmed(&mut stream).await?;
        } else {
            stream.write_all(&header).await?;
        }
    }
    Ok(stream)
}

fn failure_of(error: &io::Error) -> ConnectFailure {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    match error.kind() {
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => ConnectFailure::Local,
        _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => ConnectFailure::Local,
        _ => ConnectFailure::Refused,
    }
}

/// The flow of an accepted connection.
pub(crate) fn flow_of(client: &TcpStream, peer: SocketAddr) -> io::Result<Flow> {
    Ok(Flow::tcp(peer, client.local_addr()?))
}
