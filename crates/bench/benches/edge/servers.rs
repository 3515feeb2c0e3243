//! The origin, and the proxies in front of it, each with one worker on the first core.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use perigee_bench::{Edge, Endpoint, Group, LOAD_CORE, Process, SERVER_CORE, binary};
use perigee_tests::http::Client;

/// The origin's address; a second proxy of the same kind would need another port.
const ORIGIN: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 7, 0, 1), 18_180);
const PEERS: Ipv4Addr = Ipv4Addr::new(127, 7, 0, 2);
/// Connections that the kernel completes before a program takes them, for all alike.
const BACKLOG: u16 = 4_096;

pub struct Server {
    pub name: &'static str,
    pub address: SocketAddr,
    pub process: Process,
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}

fn nginx(folder: &Path, name: &str, core: &str, module: Option<&str>, conf: &str) -> Process {
    let file = path(folder, &format!("{name}.conf"));
    // A worker that root starts has to read the folder of the bytes, which is root's.
    let module = module.map(|module| format!("load_module {module};\n")).unwrap_or_default();
    let main = format!(
        "{module}user root;\ndaemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {0};\nerror_log {1} crit;\n\
         events {{ worker_connections 8192; }}\n{conf}",
        path(folder, &format!("{name}.pid")),
        path(folder, &format!("{name}.errors")),
    );
    fs::write(&file, main).unwrap();
    let prefix = folder.to_string_lossy();
    let log = folder.join(format!("{name}.log"));
    Process::start(Some(core), &log, &["nginx", "-p", &prefix, "-c", &file]).unwrap()
}

/// A web server with a small answer at `/s` and the file `bulk` of `bytes`. It sends at once and keeps connections
/// for good.
pub fn origin(folder: &Path, bytes: &Path) -> Server {
    let parts = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = parts.map(|part| format!("{part}_temp_path {};\n", path(folder, "temporary"))).concat();
    let conf = format!(
        "http {{\n{temporary}access_log off;\ntcp_nodelay on;\nsendfile on;\nsendfile_max_chunk 512k;\n\
         keepalive_requests 100000000;\nkeepalive_timeout 600s;\ndefault_type text/plain;\nserver {{\n\
         listen {}:{} backlog={BACKLOG} reuseport;\nlocation = /s {{ return 200 \"{}\"; }}\n\
         location / {{ root {}; }}\n}}\n}}\n",
        ORIGIN.0,
        ORIGIN.1,
        "forty octets are a small answer to send.",
        bytes.display()
    );
    Server { name: "origin", address: ORIGIN.into(), process: nginx(folder, "origin", LOAD_CORE, None, &conf) }
}

/// haproxy as fast as it can be told to be: bytes go by splice(2) where it thinks that worth it.
pub fn haproxy(folder: &Path) -> Server {
    let address = SocketAddr::from((PEERS, 18_181));
    let conf = format!(
        "global\n nbthread 1\n maxconn 4000\n maxpipes 1500\ndefaults\n mode tcp\n timeout connect 5s\n \
         timeout client 60s\n timeout server 60s\n option splice-auto\n option splice-response\n\
         frontend clients\n bind {address} backlog {BACKLOG}\n default_backend origin\n\
         backend origin\n server origin {}:{}\n",
        ORIGIN.0, ORIGIN.1
    );
    let file = path(folder, "haproxy.cfg");
    fs::write(&file, conf).unwrap();
    let log = folder.join("haproxy.log");
    let process = Process::start(Some(SERVER_CORE), &log, &["haproxy", "-db", "-f", &file]).unwrap();
    Server { name: "haproxy", address, process }
}

/// nginx's stream module with buffers of 64 KiB: with its default of 16 KiB it copies more often.
pub fn nginx_stream(folder: &Path) -> Server {
    let address = SocketAddr::from((PEERS, 18_182));
    let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let conf = format!(
        "stream {{\ntcp_nodelay on;\nserver {{\nlisten {address} backlog={BACKLOG};\nproxy_buffer_size 64k;\n\
         proxy_pass {}:{};\n}}\n}}\n",
        ORIGIN.0, ORIGIN.1
    );
    let process = nginx(folder, "stream", SERVER_CORE, Some(module), &conf);
    Server { name: "nginx", address, process }
}

/// Perigee's edge with an accelerator that leads to the origin.
pub fn perigee(folder: &Path) -> Server {
    let own = Ipv4Addr::new(127, 7, 0, 3);
    let endpoints = vec![Endpoint { address: ORIGIN.0, weight: 128 }];
    let edge = Edge {
        folder: folder.join("perigee"),
        addresses: [own, Ipv4Addr::new(127, 7, 0, 4)],
        port: ORIGIN.1,
        admin: (own, 7_070).into(),
        flows: 4_000,
        preserve_clients: false,
        groups: vec![Group { region: "ap-northeast-2", dial: 100, endpoints }],
    };
    fs::create_dir_all(&edge.folder).unwrap();
    let binary = binary();
    let process = edge.start(binary.to_str().unwrap(), Some(SERVER_CORE)).unwrap();
    Server { name: "perigee", address: edge.address(), process }
}

/// Waits until `server` gives the origin's small answer. Panics with its log if it does not in time.
pub fn await_answer(server: &mut Server) {
    let end = Instant::now() + Duration::from_secs(20);
    let answers = |address| {
        let answer = Client::open(address, None).and_then(|mut client| client.get("/s"));
        answer.is_ok_and(|answer| answer.status == 200 && answer.body.len() == 40)
    };
    while !answers(server.address) {
        let ended = server.process.ended();
        let words = server.process.last_words(20);
        assert!(ended.is_none() && Instant::now() < end, "{} does not answer: {ended:?}\n{words}", server.name);
        std::thread::sleep(Duration::from_millis(50));
    }
}
