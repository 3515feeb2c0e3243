//! Rate limiting on real sockets, and the log of queries.

use perigee_dns::QueryLog;
use perigee_model::dns::DnsServer;

use crate::sockets::{PATIENCE, Running, over_udp, receive};
use crate::support::{A, Query, TXT, World, options_of, query};

/// A server whose limits hold for loopback too.
async fn limited(change: impl FnOnce(&mut DnsServer)) -> Running {
    let world = World::with(|snapshot| {
        snapshot.dns.server.rate_limit.exempt.clear();
        change(&mut snapshot.dns.server);
    });
    Running::with(world, |_| {}).await
}

/// Sends `question` so many times and gives what came back. The last datagram is one that is always answered, from
/// another network, after all others: the server has one socket and takes them in order.
async fn flood(running: &Running, question: &Query, count: usize) -> Vec<Vec<u8>> {
    let socket = running.datagrams().await;
    let mut answers = Vec::new();
    let mut sent = 0;
    while sent < count {
        // In pieces that no socket's buffer is too small for.
        for _ in 0..50.min(count - sent) {
            socket.send(&question.bytes()).await.unwrap();
            sent += 1;
        }
        let behind = tokio::net::UdpSocket::bind(format!("127.90.{}.1:0", sent / 50)).await.unwrap();
        behind.connect(running.address).await.unwrap();
        over_udp(&behind, &query("ns1.perigee.test", A)).await;
        let mut answer = [0; 2_000];
        while let Ok(len) = socket.try_recv(&mut answer) {
            answers.push(answer[..len].to_vec());
        }
    }
    answers
}

#[tokio::test]
async fn a_flood_of_datagrams_gets_less_than_it_sends() {
    let running = limited(|_| {}).await;
    let question = query("_why.app.perigee.test", TXT).edns(&[]);
    let answers = flood(&running, &question, 1_000).await;
    let whole = answers.iter().filter(|answer| answer[2] & 0x02 == 0).count();
    // The rate's worth of the first moment and of the fractions of a second that this takes.
    assert!((20..200).contains(&whole), "{whole} whole answers");
    assert!(answers.len() < 700, "{} answers", answers.len());
    let back: usize = answers.iter().map(Vec::len).sum();
    assert!(back < question.bytes().len() * 1_000, "{back} octets");
    for cut in answers.iter().filter(|answer| answer[2] & 0x02 != 0) {
        assert_eq!(cut.len(), question.bytes().len(), "as large as the query");
    }
    let metrics = running.metrics();
    assert!(metrics.contains("perigee_dns_rate_limited_total{category=\"answer\",action=\"slipped\"}"), "{metrics}");
    assert!(metrics.contains("perigee_dns_rate_limited_total{category=\"answer\",action=\"dropped\"}"), "{metrics}");
}

#[tokio::test]
async fn errors_and_random_names_are_limited_by_network_and_zone() {
    for (what, category) in [("random names", "nxdomain"), ("malformed", "error"), ("outside", "error")] {
        let running = limited(|server| server.rate_limit.slip = 0).await;
        let socket = running.datagrams().await;
        for i in 0..100 {
            let name = format!("x{i}.perigee.test");
            let question = match what {
                "random names" => query(&name, A),
                "malformed" => Query { rest: vec![0], ..query(&name, A) },
                _ => query(&format!("x{i}.example.com"), A),
            };
            socket.send(&question.bytes()).await.unwrap();
        }
        // Another category's account is full.
        let own = query("ns1.perigee.test", A).bytes();
        socket.send(&own).await.unwrap();
        let mut answers = 0;
        while receive(&socket).await.get(3).is_some_and(|octet| octet & 0x0f != 0) {
            answers += 1;
        }
        assert!((5..20).contains(&answers), "{answers} answers to {what}");
        assert!(running.metrics().contains(&format!("category=\"{category}\",action=\"dropped\"")), "{what}");
    }
}

#[tokio::test]
async fn a_good_cookie_is_never_limited_and_a_bad_one_is_told_the_new() {
    let running = limited(|_| {}).await;
    let plain = query("app.perigee.test", A);
    let socket = running.datagrams().await;
    let learned = over_udp(&socket, &plain.clone().edns(&[(10, &[1; 8])])).await;
    let cookie = options_of(&learned).unwrap().remove(0).1;
    assert_eq!(flood(&running, &plain.clone().edns(&[(10, &cookie)]), 300).await.len(), 300);
    let answers = flood(&running, &plain.edns(&[(10, &[2; 24])]), 300).await;
    let (bad, good): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer[3] & 0x0f == 7);
    assert!(!bad.is_empty() && good.len() < 100, "{} BADCOOKIE, {} answers", bad.len(), good.len());
    for answer in bad {
        let message = hickory_proto::op::Message::from_vec(answer).unwrap();
        assert_eq!(message.edns.map(|edns| edns.rcode_high()), Some(1), "16 + 7");
        assert!(message.answers.is_empty() && !message.metadata.truncation);
        assert_eq!(options_of(answer).unwrap()[0].1.len(), 24);
    }
}

#[tokio::test]
async fn a_sample_of_the_queries_is_logged_without_whole_addresses() {
    let path = std::env::temp_dir().join(format!("perigee-query-log-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let log = QueryLog { path: path.clone(), sample: 3 };
    let running = Running::with(World::new(), |config| config.query_log = Some(log)).await;
    let socket = running.datagrams().await;
    for _ in 0..9 {
        over_udp(&socket, &query("aPp.perigee.test", A).subnet([133, 1, 2, 0], 24)).await;
    }
    assert_eq!(running.shutdown.finish(PATIENCE).await, 0, "the log is written out by then");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        assert_eq!(line["client"], "127.82.200.0/24");
        assert_eq!(
            (&line["name"], &line["type"], &line["rcode"]),
            (&"aPp.perigee.test.".into(), &1.into(), &"NOERROR".into())
        );
        assert_eq!((&line["region"], &line["transport"]), (&"ap-northeast-1".into(), &"udp".into()));
        assert!(line["scope"].as_u64().is_some() && line["unix_ms"].as_u64().is_some_and(|ms| ms > 1_500_000_000_000));
    }
}
