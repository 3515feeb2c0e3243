//! What the usual DNS clients show of the answers: dig (BIND), kdig (Knot) and drill (NLnet Labs), each with its own
//! reader of messages.

use perigee_tests::figures::Figures;
use perigee_tests::shown::{Case, case, judge};
use perigee_tests::stack::{Setup, Stack};

const FURTHER_REGIONS: [&str; 5] = ["af-south-1", "ap-east-1", "ca-central-1", "eu-central-1", "sa-east-1"];

const HEADER: [Case; 13] = [
    // An authoritative answer without recursion; dig itself asks for AD.
    case(
        "dig +norec app.perigee.test",
        &["status: NOERROR", ";; flags: qr aa; QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 1"],
        &["WARNING"],
    ),
    case("dig +rec +adflag +cdflag +zflag app.perigee.test", &[";; flags: qr aa rd; QUERY"], &["MBZ"]),
    case("dig +aaflag +raflag +norec app.perigee.test", &[";; flags: qr aa; QUERY"], &[]),
    case(
        "dig +noedns app.perigee.test",
        &["ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 0"],
        &["OPT PSEUDOSECTION", "WARNING: EDNS"],
    ),
    case("dig +nocookie +header-only app.perigee.test", &["status: FORMERR", "QUERY: 0, ANSWER: 0"], &["flags: qr aa"]),
    case(
        "dig +opcode=IQUERY app.perigee.test",
        &["opcode: IQUERY, status: NOTIMP", "OPT PSEUDOSECTION"],
        &["ANSWER SECTION"],
    ),
    case("dig +opcode=STATUS app.perigee.test", &["opcode: STATUS, status: NOTIMP"], &["ANSWER SECTION"]),
    case("dig +opcode=NOTIFY app.perigee.test", &["opcode: NOTIFY, status: REFUSED"], &["ANSWER SECTION"]),
    case("dig +opcode=UPDATE app.perigee.test", &["opcode: UPDATE, status: REFUSED"], &["ANSWER SECTION"]),
    case("dig +opcode=15 app.perigee.test", &["status: NOTIMP"], &["ANSWER SECTION"]),
    // The question's letters come back as they were, also as owner of the answer.
    case(
        "dig aPp.PeRiGEE.tEsT",
        &[";aPp.PeRiGEE.tEsT.\t\tIN\tA", "\naPp.PeRiGEE.tEsT.\t30\tIN\tA\t"],
        &["app.perigee.test"],
    ),
    case("kdig app.perigee.test", &["status: NOERROR", "Flags: qr aa rd;", "ANSWER: 2; AUTHORITY: 0"], &["WARNING"]),
    case("drill app.perigee.test", &["rcode: NOERROR", "flags: qr aa rd ;", "ANSWER: 2, AUTHORITY: 0"], &["Warning"]),
];

const NAMES_AND_TYPES: [Case; 22] = [
    case(
        "dig nothing.perigee.test",
        &["status: NXDOMAIN", "ANSWER: 0, AUTHORITY: 1", "perigee.test.\t\t30\tIN\tSOA\tns1.perigee.test."],
        &[],
    ),
    case("dig accelerator.perigee.test", &["status: NOERROR", "ANSWER: 0, AUTHORITY: 1", "IN\tSOA"], &[]),
    case("dig app.perigee.test AAAA", &["status: NOERROR", "ANSWER: 0, AUTHORITY: 1", "IN\tSOA"], &[]),
    case("dig app.perigee.test TYPE65280", &["status: NOERROR", "ANSWER: 0, AUTHORITY: 1", "IN\tTYPE65280"], &[]),
    case("kdig app.perigee.test HTTPS", &["status: NOERROR", "ANSWER: 0; AUTHORITY: 1"], &[]),
    case(
        "dig app.perigee.test ANY",
        &["status: NOERROR", "ANSWER: 1, AUTHORITY: 0", "3600\tIN\tHINFO\t\"RFC8482\" \"\""],
        &[],
    ),
    case("kdig app.perigee.test ANY", &["HINFO", "RFC8482"], &[]),
    case("dig perigee.test SOA", &["ns1.perigee.test. hostmaster.perigee.test. 1 "], &["AUTHORITY SECTION"]),
    case("dig perigee.test NS", &["3600\tIN\tNS\tns1.perigee.test."], &["AUTHORITY SECTION"]),
    case(
        "dig example.com",
        &["status: REFUSED", ";; flags: qr rd;", "; EDE: 20 (Not Authoritative)"],
        &["AUTHORITY SECTION"],
    ),
    case("kdig +edns example.com", &["status: REFUSED", "EDE: 20"], &["AUTHORITY SECTION"]),
    case("drill -x 192.0.2.1", &["rcode: REFUSED", "ANSWER: 0, AUTHORITY: 0"], &[]),
    case("dig app.perigee.test TYPE128", &["status: FORMERR", "; EDE: 30"], &["ANSWER SECTION"]),
    case("dig app.perigee.test OPT", &["status: FORMERR"], &["ANSWER SECTION"]),
    case("dig app.perigee.test TKEY", &["status: NOTIMP"], &["ANSWER SECTION"]),
    case("dig app.perigee.test MAILB", &["status: NOTIMP"], &["ANSWER SECTION"]),
    case("dig -c CH -t TXT version.bind", &["status: REFUSED", "CH\tTXT"], &["ANSWER SECTION"]),
    case("dig -c ANY app.perigee.test", &["status: REFUSED"], &["ANSWER SECTION"]),
    case("dig perigee.test AXFR", &["Transfer failed"], &["SOA"]),
    // With the SOA record of the serial number as authority; dig's own words for a refusal, and kdig's.
    case("dig perigee.test IXFR=7", &["Transfer failed"], &["FORMERR", "IN\tSOA"]),
    case("kdig +edns perigee.test IXFR=7", &["REFUSED"], &["FORMERR", "MALFORMED"]),
    case("kdig +notcp perigee.test IXFR=7", &["REFUSED"], &["FORMERR", "MALFORMED"]),
];

const EDNS: [Case; 15] = [
    case("dig app.perigee.test", &["; EDNS: version: 0, flags:; udp: 1232"], &["EDE"]),
    case(
        "dig +edns=1 +noednsneg app.perigee.test",
        &["status: BADVERS", "; EDNS: version: 0,"],
        &["ANSWER SECTION", "flags: qr aa"],
    ),
    // Told the version, dig asks again with it.
    case(
        "dig +edns=1 app.perigee.test",
        &["BADVERS, retrying with EDNS version 0", "status: NOERROR", "ANSWER: 2"],
        &[],
    ),
    case("kdig +edns=7 app.perigee.test", &["ext-rcode: BADVERS"], &["ANSWER SECTION"]),
    case(
        "dig +dnssec +ednsflags=0x4040 app.perigee.test",
        &["status: NOERROR", "; EDNS: version: 0, flags: do; udp: 1232"],
        &["MBZ", "RRSIG"],
    ),
    case("dig +ednsopt=65001:deadbeef app.perigee.test", &["status: NOERROR", "ANSWER: 2"], &["OPT=65001"]),
    // Keepalive and padding are for connections and encryption.
    case("dig +keepalive app.perigee.test", &["status: NOERROR", "ANSWER: 2"], &["KEEPALIVE"]),
    case("kdig +padding=64 app.perigee.test", &["status: NOERROR", "ANSWER: 2"], &["PADDING"]),
    case("dig +subnet=168.126.63.0/24 app.perigee.test", &["; CLIENT-SUBNET: 168.126.63.0/24/16", "ANSWER: 2"], &[]),
    case("kdig +subnet=168.126.63.0/24 app.perigee.test", &["CLIENT-SUBNET: 168.126.63.0/24/16", "ANSWER: 2"], &[]),
    case("dig +subnet=2001:2b8::/48 app.perigee.test", &["; CLIENT-SUBNET: 2001:2b8::/48/"], &["/48/0"]),
    // No client at all, a name that is the same for all, and one that does not exist.
    case("dig +subnet=0 app.perigee.test", &["; CLIENT-SUBNET: 0.0.0.0/0/0", "ANSWER: 2"], &[]),
    case(
        "dig +subnet=168.126.63.0/24 shop.accelerator.perigee.test",
        &["; CLIENT-SUBNET: 168.126.63.0/24/0", "300 IN\tA"],
        &[],
    ),
    case("dig +subnet=168.126.63.0/24 nothing.perigee.test", &["NXDOMAIN", "; CLIENT-SUBNET: 168.126.63.0/24/0"], &[]),
    // A subnet whose address is cut off.
    case("dig +ednsopt=8:00011800a87e app.perigee.test", &["status: FORMERR", "OPT PSEUDOSECTION"], &["CLIENT-SUBNET"]),
];

const TRANSPORT: [Case; 6] = [
    case("dig +tcp app.perigee.test", &["status: NOERROR", "ANSWER: 2", "(TCP)"], &[]),
    case("dig +notcp app.perigee.test ANY", &["HINFO", "(UDP)"], &["Truncated"]),
    case("kdig +tcp app.perigee.test", &["status: NOERROR", "(TCP)"], &[]),
    case("drill -t app.perigee.test", &["rcode: NOERROR", "ANSWER: 2"], &[]),
    // Three questions on one connection.
    case(
        "kdig +tcp +keepopen app.perigee.test A app.perigee.test AAAA nothing.perigee.test",
        &["ANSWER: 2", "IN\tAAAA", "NXDOMAIN"],
        &["WARNING"],
    ),
    case(
        "dig +tcp +keepopen app.perigee.test A shop.accelerator.perigee.test A",
        &["\t30\tIN\tA", " 300 IN\tA"],
        &["failed"],
    ),
];

/// About an explanation of more than 512 octets, whose name stands for `WHY`: TC alone, and all of it on a connection.
const LONG: [Case; 5] = [
    case("dig +noedns +ignore WHY TXT", &[";; flags: qr aa tc rd;", "ANSWER: 0, AUTHORITY: 0", "(UDP)"], &["TXT\t\""]),
    // Less than 512 octets counts as 512.
    case("dig +bufsize=100 WHY TXT", &["Truncated, retrying in TCP mode", "(TCP)", "ANSWER: 1", "region="], &[]),
    case("kdig +edns +bufsize=512 WHY TXT", &["truncated reply", "(TCP)", "region="], &[]),
    case("drill -a WHY TXT", &["ANSWER: 1", "region="], &[]),
    case("dig +bufsize=4096 WHY TXT", &["ANSWER: 1", "region=", "(UDP)"], &["Truncated"]),
];

#[test]
fn dig_kdig_and_drill_see_what_the_rfcs_promise() {
    let stack = Stack::start();
    // A question of 200 octets, and an explanation with more regions than it lists.
    let long = "w".repeat(63);
    let zone = format!("{}.{}.test", "y".repeat(61), "z".repeat(61));
    let of_long_names = Stack::with(&Setup {
        dns: format!("zone = \"{zone}\"\n"),
        tables: format!("[dns.names.{long}]\npolicy = \"latency\"\nload_balancer = \"shop\"\n"),
        further_regions: FURTHER_REGIONS.map(str::to_owned).to_vec(),
        ..Setup::default()
    });
    let why = format!("_why.{long}.{zone}");
    let mut figures = Figures::of("dig_kdig_and_drill_see_what_the_rfcs_promise");
    let mut wrong = Vec::new();
    for (about, cases, stack) in [
        ("header", HEADER.as_slice(), &stack),
        ("names and types", &NAMES_AND_TYPES, &stack),
        ("EDNS", &EDNS, &stack),
        ("transport", &TRANSPORT, &stack),
        ("long answers", &LONG, &of_long_names),
    ] {
        let before = wrong.len();
        wrong.extend(cases.iter().filter_map(|case| judge(stack.slot().dns(), case, &[("WHY", &why)])));
        figures.note(&format!("{about}: right"), (cases.len() + before - wrong.len()) as u64, "");
    }
    drop(figures);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
