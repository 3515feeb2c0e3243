use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, DATE, HeaderValue, SERVER};
use hyper::{Response, StatusCode};

/// What the original calls itself in the answers that it makes up.
const SERVER_NAME: HeaderValue = HeaderValue::from_static("awselb/2.0");

/// The reason phrase of a status, also of those that only load balancers know.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        460 => "Client Closed Request",
        463 => "Too Many Forwarded Addresses",
        _ => StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error"),
    }
}

/// The page that goes with a status.
fn page(status: u16) -> String {
    let reason = reason(status);
    format!(
        "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n<center><h1>{status} {reason}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
}

/// An answer that the node makes up itself. Statuses that stem from a broken request close the connection.
///
/// Source: ALB guide, "Troubleshoot your Application Load Balancers"; the shape of the page as in `alb.md` section 22.
pub(crate) fn answer(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(page(status))));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(SERVER, SERVER_NAME);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    if closes(status) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The same answer as bytes, for a connection whose request could not even be parsed; it always closes.
pub(crate) fn raw(status: u16) -> Vec<u8> {
    let body = page(status);
    format!(
        "HTTP/1.1 {status} {}\r\n{SERVER}: awselb/2.0\r\n{DATE}: {}\r\n{CONTENT_TYPE}: text/html\r\ncontent-length: {}\r\n{CONNECTION}: close\r\n\r\n{body}",
        reason(status),
        http_date(SystemTime::now()),
        body.len()
    )
    .into_bytes()
}

const fn closes(status: u16) -> bool {
    matches!(status, 400 | 408 | 414 | 501)
}

/// IMF-fixdate (RFC 9110 section 5.6.7).
fn http_date(now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to civil date, counted in 400-year eras that begin on 1 March of year 0 (proleptic Gregorian calendar).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(days % 7).unwrap_or(0)];
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let name = months[usize::try_from(month - 1).unwrap_or(0)];
    format!("{weekday}, {day:02} {name} {year} {:02}:{:02}:{:02} GMT", rest / 3_600, rest % 3_600 / 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_written_as_http_wants_them() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_827_696, "Tue, 29 Feb 2000 12:34:56 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
        ] {
            assert_eq!(http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_raw_answer_declares_the_length_it_has() {
        let raw = String::from_utf8(raw(400)).expect("it is text");
        let (head, body) = raw.split_once("\r\n\r\n").expect("a blank line ends the head");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.contains("server: awselb/2.0"));
    }
}
