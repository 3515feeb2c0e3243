//! An endpoint: a process of this program that does what streams ask for.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use crate::stream::{Direction, Identity, Plan, Received, receive, send};

/// Serves until it is killed.
pub fn main(identity: Identity, address: SocketAddr) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = listen(address).unwrap_or_else(|e| panic!("the endpoint cannot listen on {address}: {e}"));
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                // A stream that breaks off is its client's to judge.
                tokio::spawn(async move {
                    let _ = serve(identity, stream).await;
                });
            }
        }
    });
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Its last life may have left connections behind.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    TcpListener::from_std(socket.into())
}

async fn serve(identity: Identity, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let plan = Plan::read(&mut stream).await?;
    stream.write_all(&identity.encode()).await?;
    let (mut from, mut to) = stream.split();
    let mut received = Received::default();
    let up = async { receive(&plan, Direction::Up, &mut from, &mut received).await };
    let (up, down) = tokio::join!(up, send(&plan, Direction::Down, &mut to));
    up?;
    down?;
    let right = if received.wrong_at.is_none() { received.octets } else { u64::MAX };
    to.write_all(&identity.encode()).await?;
    to.write_all(&right.to_be_bytes()).await?;
    to.shutdown().await
}
