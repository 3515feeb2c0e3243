use roxmltree::Node;
use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, Pixmap, Shader, Stroke, Transform};

/// A number in an attribute; zero without it.
pub(super) fn number(node: Node<'_, '_>, name: &str) -> Result<f32, String> {
    node.attribute(name).map_or(Ok(0.0), parse)
}

/// Numbers that commas or spaces part.
pub(super) fn numbers(text: &str) -> Result<Vec<f32>, String> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty()).map(parse).collect()
}

fn parse(text: &str) -> Result<f32, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

/// What an element, or one around it, says of a property that SVG inherits.
pub(super) fn inherited<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.ancestors().find_map(|n| n.attribute(name))
}

/// An element's own transform: one `translate` or `rotate`.
pub(super) fn transform(node: Node<'_, '_>) -> Result<Transform, String> {
    let Some(text) = node.attribute("transform") else { return Ok(Transform::identity()) };
    let (name, rest) = text.split_once('(').unwrap_or((text, ""));
    let arguments = numbers(rest.trim_end().trim_end_matches(')'))?;
    match (name.trim(), arguments.as_slice()) {
        ("translate", [x, y]) => Ok(Transform::from_translate(*x, *y)),
        ("rotate", [degrees]) => Ok(Transform::from_rotate(*degrees)),
        ("rotate", [degrees, x, y]) => Ok(Transform::from_rotate_at(*degrees, *x, *y)),
        _ => Err(format!("the transform `{text}` is not drawn")),
    }
}

/// Fills and strokes an outline as its element says, the stroke first where `paint-order` has it so.
pub(super) fn paint(
    node: Node<'_, '_>,
    outline: &Path,
    transform: Transform,
    pixels: &mut Pixmap,
) -> Result<(), String> {
    let fill = colour(node, "fill", "fill-opacity", Some(Color::BLACK))?;
    let stroke = colour(node, "stroke", "stroke-opacity", None)?;
    let rule = match inherited(node, "fill-rule") {
        Some("evenodd") => FillRule::EvenOdd,
        _ => FillRule::Winding,
    };
    let pen = pen(node)?;
    let mut draw = |filled: bool| match (filled, fill, stroke) {
        (true, Some(colour), _) => pixels.fill_path(outline, &ink(colour), rule, transform, None),
        (false, _, Some(colour)) => pixels.stroke_path(outline, &ink(colour), &pen, transform, None),
        _ => {}
    };
    let stroke_first = inherited(node, "paint-order") == Some("stroke");
    draw(!stroke_first);
    draw(stroke_first);
    Ok(())
}

fn ink(colour: Color) -> Paint<'static> {
    Paint { shader: Shader::SolidColor(colour), ..Paint::default() }
}

/// The colour of a fill or stroke, none for `none`. An element's own opacity is that of both: where the two overlap, a
/// browser shows the upper alone, but no picture has such an element.
fn colour(node: Node<'_, '_>, name: &str, opacity: &str, unsaid: Option<Color>) -> Result<Option<Color>, String> {
    let colour = match inherited(node, name) {
        None => unsaid,
        Some("none") => None,
        Some(text) => Some(hex(text)?),
    };
    let own = node.attribute("opacity").map_or(Ok(1.0), parse)?;
    let opacity = own * inherited(node, opacity).map_or(Ok(1.0), parse)?;
    Ok(colour.map(|mut colour| {
        colour.apply_opacity(opacity);
        colour
    }))
}

/// `#RRGGBB`.
fn hex(text: &str) -> Result<Color, String> {
    let digits = text.strip_prefix('#').filter(|d| d.len() == 6);
    let value = digits.and_then(|d| u32::from_str_radix(d, 16).ok());
    let [_, r, g, b] = value.ok_or_else(|| format!("`{text}` is not a colour"))?.to_be_bytes();
    Ok(Color::from_rgba8(r, g, b, 255))
}

fn pen(node: Node<'_, '_>) -> Result<Stroke, String> {
    let line_cap = match inherited(node, "stroke-linecap") {
        Some("round") => LineCap::Round,
        _ => LineCap::Butt,
    };
    let line_join = match inherited(node, "stroke-linejoin") {
        Some("round") => LineJoin::Round,
        _ => LineJoin::Miter,
    };
    let width = inherited(node, "stroke-width").map_or(Ok(1.0), parse)?;
    Ok(Stroke { width, line_cap, line_join, ..Stroke::default() })
}
