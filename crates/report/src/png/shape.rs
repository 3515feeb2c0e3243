use roxmltree::Node;
use tiny_skia::{Path, PathBuilder, Rect};

use super::element::{number, numbers};

/// How far the handles of a cubic curve stand from its ends, in radii, to come closest to a quarter of a circle:
/// 4/3 (sqrt 2 - 1).
const QUARTER: f32 = 0.552_284_8;

/// The outline of an element; none where it has no extent.
pub(super) fn outline(node: Node<'_, '_>) -> Result<Option<Path>, String> {
    let of = |name: &str| number(node, name);
    match node.tag_name().name() {
        "rect" => Ok(rectangle([of("x")?, of("y")?, of("width")?, of("height")?], of("rx")?)),
        "circle" => Ok(PathBuilder::from_circle(of("cx")?, of("cy")?, of("r")?)),
        "line" => Ok(corners(&[of("x1")?, of("y1")?, of("x2")?, of("y2")?], false)),
        "polyline" => Ok(corners(&numbers(node.attribute("points").unwrap_or_default())?, false)),
        "polygon" => Ok(corners(&numbers(node.attribute("points").unwrap_or_default())?, true)),
        "path" => path(node.attribute("d").unwrap_or_default()),
        name => Err(format!("the element `{name}` is not drawn")),
    }
}

fn corners(numbers: &[f32], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, corner) in numbers.chunks_exact(2).enumerate() {
        match i {
            0 => path.move_to(corner[0], corner[1]),
            _ => path.line_to(corner[0], corner[1]),
        }
    }
    if closed {
        path.close();
    }
    path.finish()
}

fn rectangle([x, y, width, height]: [f32; 4], radius: f32) -> Option<Path> {
    let rect = Rect::from_xywh(x, y, width, height)?;
    let r = radius.min(width / 2.0).min(height / 2.0);
    if r <= 0.0 {
        return Some(PathBuilder::from_rect(rect));
    }
    let (left, top, right, bottom) = (rect.left(), rect.top(), rect.right(), rect.bottom());
    let h = r * (1.0 - QUARTER);
    let mut path = PathBuilder::new();
    path.move_to(left + r, top);
    path.line_to(right - r, top);
    path.cubic_to(right - h, top, right, top + h, right, top + r);
    path.line_to(right, bottom - r);
    path.cubic_to(right, bottom - h, right - h, bottom, right - r, bottom);
    path.line_to(left + r, bottom);
    path.cubic_to(left + h, bottom, left, bottom - h, left, bottom - r);
    path.line_to(left, top + r);
    path.cubic_to(left, top + h, left + h, top, left + r, top);
    path.close();
    path.finish()
}

/// Path data of the commands `M`, `L`, `H`, `V` and `Z`, each with its letter.
fn path(data: &str) -> Result<Option<Path>, String> {
    let mut path = PathBuilder::new();
    let (mut x, mut y) = (0.0, 0.0);
    let mut rest = data.trim_start();
    while let Some(command) = rest.chars().next() {
        let tail = &rest[command.len_utf8()..];
        let end = tail.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(tail.len());
        match (command, numbers(&tail[..end])?.as_slice()) {
            ('M', [to_x, to_y]) => {
                (x, y) = (*to_x, *to_y);
                path.move_to(x, y);
            }
            ('L', [to_x, to_y]) => {
                (x, y) = (*to_x, *to_y);
                path.line_to(x, y);
            }
            ('H', [to_x]) => {
                x = *to_x;
                path.line_to(x, y);
            }
            ('V', [to_y]) => {
                y = *to_y;
                path.line_to(x, y);
            }
            ('Z', []) => path.close(),
            _ => return Err(format!("the path `{command}{}` is not drawn", &tail[..end])),
        }
        rest = &tail[end..];
    }
    Ok(path.finish())
}
