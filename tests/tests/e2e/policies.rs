//! Policies in one another, as `_why` and `perigee explain --dns` tell about them.

use std::net::IpAddr;
use std::time::Duration;

use perigee_tests::dig::dig;
use perigee_tests::stack::{SEOUL, Setup, Stack};
use perigee_tests::wait::until;

/// Three policies in one another.
const TREE: &str = r#"
[dns.zones."shop.test".names.www]
policy = "geolocation"
records = [
  { country = "KR", policy = "weighted", draw = "per_client", records = [
    { weight = 100, set_identifier = "release", policy = "failover", records = [
      { failover = "PRIMARY", region = "ap-northeast-2", load_balancer = "shop" },
      { failover = "SECONDARY", region = "ap-northeast-1", load_balancer = "shop" },
    ] },
    { weight = 0, set_identifier = "spare", addresses = ["192.0.2.10"] },
  ] },
  { continent = "AS", policy = "latency", load_balancer = "shop" },
  { location = "*", accelerator = "shop" },
]
"#;

const EXPLAINED: &str = "\
DNS      www.shop.test A for resolver 127.82.200.9 in Seoul, KR
           -> load balancer shop in ap-northeast-2 for 60 s, scope /0: the policies' first choice
           geolocation, counting healthy:
           -> country-KR       country KR, healthy: picked
              continent-AS     continent AS, healthy: larger area
              default          everywhere, healthy: larger area
           weighted, drawn once for a client, counting healthy:
           -> release          weight 100 of 100, healthy: picked
              spare            weight 0 of 100, healthy: not drawn: weight 0 is for when all others are unhealthy
           failover, counting healthy:
           -> primary          primary, healthy: picked
              secondary        secondary, healthy: not needed";

const EXPLAINED_AFTER_THE_KILL: &str = "\
DNS      www.shop.test A for resolver 127.82.200.9 in Seoul, KR
           -> load balancer shop in ap-northeast-1 for 30 s, scope /0: the next choice that is healthy; the TTL is lowered while something is down
           geolocation, counting healthy:
           -> country-KR       country KR, healthy: picked
              continent-AS     continent AS, healthy: larger area
              default          everywhere, healthy: larger area
           weighted, drawn once for a client, counting healthy:
           -> release          weight 100 of 100, healthy: picked
              spare            weight 0 of 100, healthy: not drawn: weight 0 is for when all others are unhealthy
           failover, counting healthy:
              primary          primary, unhealthy: passed over: unhealthy
           -> secondary        secondary, healthy: picked";

const WHY: [&str; 15] = [
    "name=www.shop.test A",
    "answer=load balancer shop in ap-northeast-2",
    "reason=the policies' first choice",
    "client=127.82.200.9 (resolver)",
    "place=Seoul, KR",
    "policy=geolocation, counted: healthy",
    "picked=country-KR country KR healthy",
    "branch=continent-AS continent AS healthy: larger area",
    "branch=default everywhere healthy: larger area",
    "policy=weighted, drawn once for a client, counted: healthy",
    "picked=release weight 100 of 100 healthy",
    "branch=spare weight 0 of 100 healthy: not drawn: weight 0 is for when all others are unhealthy",
    "policy=failover, counted: healthy",
    "picked=primary primary healthy",
    "branch=secondary secondary healthy: not needed",
];

/// The last lines of both.
const KEPT: [&str; 2] = ["ttl=60 s", "scope=/0"];
const KEPT_AFTER_THE_KILL: [&str; 2] = ["ttl=30 s (something of the name is down)", "scope=/0"];

/// The lines that the kill changes, by position.
const CHANGED: [(usize, &str); 4] = [
    (1, "answer=load balancer shop in ap-northeast-1"),
    (2, "reason=the next choice that is healthy; the TTL is lowered while something is down"),
    (13, "branch=primary primary unhealthy: passed over: unhealthy"),
    (14, "picked=secondary secondary healthy"),
];

#[test]
fn policies_in_one_another_are_explained_choice_by_choice() {
    let stack = Stack::with(&Setup { tables: TREE.to_owned(), ..Setup::default() });
    let explain = || {
        let output = stack.command(&["explain", "--dns", "www.shop.test", "--client", "127.82.200.9"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The attribution of the geographic database follows.
        text.split("\n\n").next().unwrap_or_default().to_owned()
    };
    let seoul = Some(IpAddr::from([127, 82, 200, 9]));
    let why = || -> Vec<String> {
        let reply = dig(stack.slot().dns(), "_why.www.shop.test", "TXT", seoul, None);
        let text = reply.data().concat();
        text.trim_matches('"').split("\" \"").map(str::to_owned).collect()
    };
    assert_eq!(explain(), EXPLAINED);
    assert_eq!(why(), [&WHY[..], &KEPT].concat());
    stack.kill(SEOUL, "crash");
    until("Seoul is down", Duration::from_secs(5), || stack.effective(SEOUL) == "unhealthy");
    assert_eq!(explain(), EXPLAINED_AFTER_THE_KILL);
    let mut expected = WHY;
    CHANGED.iter().for_each(|(at, line)| expected[*at] = line);
    assert_eq!(why(), [&expected[..], &KEPT_AFTER_THE_KILL].concat());
}
