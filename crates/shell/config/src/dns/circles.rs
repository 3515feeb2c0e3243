/// What a walk over things that refer to things finds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Walk {
    /// The references that close a circle, as (thing, position among its references): without them there is none.
    pub(super) closing: Vec<(usize, usize)>,
    /// Every thing after those it refers to, if there are no circles.
    pub(super) order: Vec<usize>,
}

/// Walks references, depth first, from the first thing to the last. `refers[i]` are the things that `i` refers to.
///
/// Without recursion: a chain may be as long as a configuration.
pub(super) fn walk(refers: &[Vec<usize>]) -> Walk {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Not,
        OnTheWay,
        Done,
    }
    let mut seen = vec![Seen::Not; refers.len()];
    let mut found = Walk::default();
    for start in 0..refers.len() {
        if seen[start] != Seen::Not {
            continue;
        }
        seen[start] = Seen::OnTheWay;
        let mut way = vec![(start, 0)];
        while let Some((at, next)) = way.last_mut() {
            let (thing, position) = (*at, *next);
            *next += 1;
            match refers[thing].get(position) {
                Some(to) if seen[*to] == Seen::Not => {
                    seen[*to] = Seen::OnTheWay;
                    way.push((*to, 0));
                }
                Some(to) if seen[*to] == Seen::OnTheWay => found.closing.push((thing, position)),
                Some(_) => {}
                None => {
                    seen[thing] = Seen::Done;
                    found.order.push(thing);
                    way.pop();
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_referred_to_comes_first() {
        let found = walk(&[vec![2, 1], vec![2], vec![]]);
        assert_eq!(found, Walk { closing: vec![], order: vec![2, 1, 0] });
    }

    #[test]
    fn the_reference_that_closes_a_circle_is_named_once() {
        assert_eq!(walk(&[vec![1], vec![2], vec![0]]).closing, [(2, 0)]);
        assert_eq!(walk(&[vec![0]]).closing, [(0, 0)]);
        assert_eq!(walk(&[vec![1, 1], vec![]]).closing, []);
        assert_eq!(walk(&[vec![], vec![2], vec![0, 1]]).closing, [(2, 1)]);
    }

    #[test]
    fn a_long_chain_is_no_overflow() {
        let chain: Vec<Vec<usize>> = (0..200_000).map(|i| if i == 199_999 { vec![0] } else { vec![i + 1] }).collect();
        assert_eq!(walk(&chain).closing, [(199_999, 0)]);
    }
}
