use super::*;

fn picture(body: &str) -> Result<Pixmap, String> {
    pixels(&format!("<svg xmlns='http://www.w3.org/2000/svg' width='80' height='30'>{body}</svg>"))
}

/// Left, top, right and bottom of what is drawn.
fn extent(body: &str) -> Option<[u32; 4]> {
    let picture = picture(body).unwrap();
    let inked = (0..80 * 30).filter(|i| picture.pixels()[*i as usize].alpha() > 100).map(|i| (i % 80, i / 80));
    inked.fold(None, |all: Option<[u32; 4]>, (x, y)| {
        let [l, t, r, b] = all.unwrap_or([x, y, x, y]);
        Some([l.min(x), t.min(y), r.max(x), b.max(y)])
    })
}

fn colour(body: &str, x: u32, y: u32) -> [u8; 4] {
    let pixel = picture(body).unwrap().pixel(x, y).unwrap();
    [pixel.red(), pixel.green(), pixel.blue(), pixel.alpha()]
}

#[test]
fn letters_are_drawn_without_a_font_of_the_system() {
    let bytes = png("<svg width='9' height='9'><text y='9'>o</text></svg>").unwrap();
    assert_eq!(&bytes[..4], b"\x89PNG");
    assert_eq!(extent("<text x='5' y='22' font-size='20'> \n </text>"), None);
    let [left, top, right, bottom] = extent("<text x='5' y='22' font-size='20'>\nHI\n</text>").unwrap();
    assert!((5..9).contains(&left) && (20..32).contains(&right), "{left} {right}");
    assert_eq!((top, bottom), (8, 21), "from the height of a capital to the line");
}

#[test]
fn a_text_stands_right_of_its_point_around_it_or_left_of_it() {
    let at = |anchor: &str| extent(&format!("<text x='40' y='20' text-anchor='{anchor}'>HoH</text>")).unwrap();
    let [start, middle, end] = ["start", "middle", "end"].map(at);
    assert!(start[0] >= 40 && end[2] <= 40, "{start:?} {end:?}");
    assert!((40 - middle[0]).abs_diff(middle[2] + 1 - 40) <= 1, "{middle:?}");
    assert!((start[2] - start[0]).abs_diff(end[2] - end[0]) <= 1);
}

#[test]
fn a_text_is_moved_by_parts_of_its_size_and_turned_around_its_point() {
    let line = extent("<text x='40' y='12' font-size='10'>H</text>").unwrap();
    let lower = extent("<text x='40' y='12' dy='0.5em' font-size='10'>H</text>").unwrap();
    assert_eq!(lower[1], line[1] + 5);
    let [left, top, right, bottom] =
        extent("<text x='40' y='4' transform='rotate(90, 40, 4)' font-size='10'>HHH</text>").unwrap();
    assert!(left >= 39 && right <= 48 && top >= 4 && bottom - top > 15, "{left} {top} {right} {bottom}");
}

#[test]
fn shapes_stand_where_they_say() {
    for (shape, expected) in [
        ("<rect x='4' y='5' width='10' height='20'/>", [4, 5, 13, 24]),
        ("<rect x='4' y='5' width='10' height='20' rx='4'/>", [4, 5, 13, 24]),
        ("<circle cx='20' cy='15' r='5'/>", [15, 10, 24, 19]),
        ("<line x1='2' y1='6' x2='12' y2='6' stroke='#000000' stroke-width='2'/>", [2, 5, 11, 6]),
        ("<polyline points='2,6 12,6 12,10 ' fill='none' stroke='#000000' stroke-width='2'/>", [2, 5, 12, 9]),
        ("<polygon points='2,6 12,6 12,10 2,10 '/>", [2, 6, 11, 9]),
        ("<path d='M2 6H12V10L2 10Z'/>", [2, 6, 11, 9]),
        ("<g transform='translate(10 3)'><path d='M2 6H12V10L2 10Z'/></g>", [12, 9, 21, 12]),
    ] {
        assert_eq!(extent(shape), Some(expected), "{shape}");
    }
    assert_eq!(extent("<polyline points='2,6 ' stroke='#000000'/><title>x</title>"), None);
}

#[test]
fn colours_and_opacities_are_those_of_the_element() {
    let square = |paint: &str| format!("<path d='M0 0H20V20H0Z' {paint}/>");
    assert_eq!(colour(&square("fill='#C86432'"), 9, 9), [200, 100, 50, 255]);
    assert_eq!(colour(&square("fill='#FFFFFF' opacity='0.5'"), 9, 9)[3], 128);
    assert_eq!(colour(&square("fill='none'"), 9, 9), [0; 4]);
    let ringed = |order: &str| square(&format!("fill='#0000FF' stroke='#FF0000' stroke-width='6' {order}"));
    assert_eq!(colour(&ringed(""), 18, 9), [255, 0, 0, 255]);
    assert_eq!(colour(&ringed("paint-order='stroke'"), 18, 9), [0, 0, 255, 255]);
    let island = "<path d='M0 0H20V20H0ZM5 5H15V15H5Z' fill-rule='evenodd'/>";
    assert_eq!((colour(island, 2, 2)[3], colour(island, 9, 9)[3]), (255, 0));
}

#[test]
fn what_is_not_drawn_is_an_error() {
    for (body, reason) in [
        ("<ellipse/>", "ellipse"),
        ("<path d='M0 0C1 1 2 2 3 3'/>", "C1 1"),
        ("<g transform='scale(2)'/>", "scale"),
        ("<rect width='5' height='5' fill='red'/>", "red"),
        ("<rect width='5px' height='5'/>", "5px"),
    ] {
        let problem = picture(body).unwrap_err();
        assert!(problem.contains(reason), "{problem}");
    }
    assert!(png("<svg/>").unwrap_err().to_string().contains("no size"));
}
