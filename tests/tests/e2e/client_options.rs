//! Cookies, the server's identity and the other options as dig and kdig show them.

use perigee_tests::figures::Figures;
use perigee_tests::shown::{Case, case, judge};
use perigee_tests::stack::{Setup, Stack};

const COOKIES: [Case; 9] = [
    // dig says `good` when its own part came back as it was.
    case("dig +cookie app.perigee.test", &["; COOKIE: ", " (good)", "ANSWER: 2"], &[]),
    case("dig +cookie +tcp app.perigee.test", &["; COOKIE: ", " (good)", "ANSWER: 2"], &[]),
    case("dig +cookie +edns=1 +noednsneg app.perigee.test", &["BADVERS", " (good)"], &[]),
    case("dig +cookie nothing.perigee.test", &["NXDOMAIN", " (good)"], &[]),
    case("dig +nocookie app.perigee.test", &["OPT PSEUDOSECTION"], &["COOKIE"]),
    case("kdig +cookie app.perigee.test", &["COOKIE: ", "ANSWER: 2"], &["WARNING"]),
    // Only a cookie is asked for (RFC 7873 section 5.4).
    case("dig +cookie +header-only app.perigee.test", &["NOERROR", "QUERY: 0, ANSWER: 0", " (good)"], &[]),
    // A server's part that nobody gave out is no reason to refuse, and one of two octets is no server's part.
    case(
        "dig +cookie=00112233445566770100000065000000aabbccddeeff0011 app.perigee.test",
        &["NOERROR", "; COOKIE: 0011223344556677", " (good)", "ANSWER: 2"],
        &["COOKIE: 00112233445566770100000065"],
    ),
    case("dig +cookie=0011223344556677aabb app.perigee.test", &["status: FORMERR"], &["COOKIE", "ANSWER SECTION"]),
];

const IDENTITY: [Case; 6] = [
    case("dig +nsid app.perigee.test", &["; NSID: ", "(\"seoul-1\")"], &[]),
    case("kdig +nsid app.perigee.test", &["NSID: ", "\"seoul-1\""], &[]),
    case("dig app.perigee.test", &["OPT PSEUDOSECTION"], &["NSID"]),
    case("dig -c CH -t TXT id.server", &["NOERROR", "0\tCH\tTXT\t\"seoul-1\""], &[]),
    case("dig -c CH -t TXT version.bind", &["NOERROR", "CH\tTXT\t\"Perigee "], &[]),
    case("dig -c CH -t TXT other.server", &["REFUSED"], &["TXT\t\""]),
];

const OTHERS: [Case; 4] = [
    case("dig +tcp +keepalive app.perigee.test", &["; TCP KEEPALIVE: 10.0 secs"], &[]),
    case("dig +notcp +keepalive app.perigee.test", &["OPT PSEUDOSECTION"], &["KEEPALIVE"]),
    case("dig +opcode=UPDATE app.perigee.test", &["REFUSED", "; EDE: 21 (Not Supported)"], &[]),
    case(
        "kdig +nsid +cookie +subnet=168.126.63.0/24 +padding=64 app.perigee.test",
        &["NSID", "COOKIE", "/24/16"],
        &["PADDING"],
    ),
];

#[test]
fn dig_and_kdig_are_given_cookies_identity_and_keepalive_as_they_ask() {
    let tables = "[dns.server]\nidentity = \"seoul-1\"\nchaos = true\n".to_owned();
    let stack = Stack::with(&Setup { tables, ..Setup::default() });
    let mut figures = Figures::of("dig_and_kdig_are_given_cookies_identity_and_keepalive_as_they_ask");
    let mut wrong = Vec::new();
    for (about, cases) in [("cookies", COOKIES.as_slice()), ("identity", &IDENTITY), ("other options", &OTHERS)] {
        let before = wrong.len();
        wrong.extend(cases.iter().filter_map(|case| judge(stack.slot().dns(), case, &[])));
        figures.note(&format!("{about}: right"), (cases.len() + before - wrong.len()) as u64, "");
    }
    drop(figures);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
