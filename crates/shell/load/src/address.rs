use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use crate::LoadError;

/// Opens a TCP connection to `to`, from `source` if given.
///
/// The kernel picks the source port at connect, not at bind (`IP_BIND_ADDRESS_NO_PORT`, ip(7)): a port then only has
/// to be free towards this destination, so hundreds of new connections a second do not exhaust the ports while the
/// closed ones wait out TIME_WAIT.
pub(crate) async fn connect(to: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(ip) = source {
        port_at_connect(&socket)?;
        socket.bind(&SocketAddr::new(ip, 0).into())?;
    }
    TcpSocket::from_std_stream(socket.into()).connect(to).await
}

#[cfg(target_os = "linux")]
fn port_at_connect(socket: &Socket) -> io::Result<()> {
    nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true).map_err(io::Error::from)
}

/// Elsewhere the port is picked at bind, and a long run at a high rate may run out of ports (counted as `local`).
#[cfg(not(target_os = "linux"))]
fn port_at_connect(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// A UDP socket that talks to `to` alone, from `source` if given; answers from elsewhere are dropped by the kernel.
pub(crate) async fn udp(to: SocketAddr, source: Option<IpAddr>) -> io::Result<UdpSocket> {
    let any: IpAddr = if to.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind(SocketAddr::new(source.unwrap_or(any), 0)).await?;
    socket.connect(to).await?;
    Ok(socket)
}

/// Says before the run what every request would say: that the source address is not one of this machine's.
pub(crate) async fn check_source(source: Option<IpAddr>, to: Option<SocketAddr>) -> Result<(), LoadError> {
    let Some(ip) = source else { return Ok(()) };
    if let Some(destination) = to.filter(|to| to.is_ipv4() != ip.is_ipv4()) {
        return Err(LoadError::Family { source_ip: ip, destination });
    }
    UdpSocket::bind(SocketAddr::new(ip, 0)).await.map_err(|error| LoadError::Source { ip, error })?;
    Ok(())
}

/// Whether the error speaks of this machine (no ports, no descriptors, no buffers left) and not of the service.
pub(crate) fn is_local(error: &io::Error) -> bool {
    // EMFILE and ENFILE have no stable `ErrorKind`; 23, 24 and ENOBUFS 105 are their numbers on Linux.
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(23 | 24 | 105))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_starts_from_the_source_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let source: IpAddr = "127.81.200.9".parse().unwrap();
        let (client, accepted) = tokio::join!(connect(to, Some(source)), listener.accept());
        let (_held, peer) = accepted.unwrap();
        assert_eq!(peer.ip(), source);
        assert_eq!(client.unwrap().local_addr().unwrap(), peer);
    }

    #[tokio::test]
    async fn binding_the_source_address_takes_no_port_yet() {
        // What `IP_BIND_ADDRESS_NO_PORT` is for: the option is set, hence the port is not taken before connect.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        port_at_connect(&socket).unwrap();
        socket.bind(&SocketAddr::from(([127, 81, 200, 9], 0)).into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        if cfg!(target_os = "linux") {
            assert_eq!(port, 0, "bind took a port");
        }
    }

    #[tokio::test]
    async fn a_source_address_of_another_machine_or_family_is_refused_at_the_start() {
        let to: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let foreign = check_source(Some("192.0.2.1".parse().unwrap()), Some(to)).await;
        assert!(matches!(foreign, Err(LoadError::Source { .. })), "{foreign:?}");
        let family = check_source(Some("::1".parse().unwrap()), Some(to)).await;
        assert!(matches!(family, Err(LoadError::Family { .. })), "{family:?}");
    }
}
