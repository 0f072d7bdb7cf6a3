//! The lines between the boxes of a picture, each on a track in the channels between the columns.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{Column, HEAD, MARGIN, Place, row_y};
use crate::schema::card::{Card, LinkKind};

/// A line along some corners, with an arrowhead at its end.
pub struct Line {
    pub kind: LinkKind,
    pub corners: Vec<(usize, usize)>,
}

/// The room beside a column, from left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    OuterLeft,
    InnerLeft,
    InnerRight,
    OuterRight,
}

/// Which track of which channel each bundle of lines has.
#[derive(Default)]
pub struct Tracks {
    /// How many tracks a channel has.
    counts: BTreeMap<Channel, usize>,
    /// The numbers of the tracks, from left to right.
    numbers: BTreeMap<(Channel, Bundle), usize>,
    /// The numbers of the tracks below everything, by the card that they lead to.
    detours: BTreeMap<usize, usize>,
}

/// Lines that share a track: those of one kind to or from one card.
type Bundle = (LinkKind, usize);

/// The way of a line: through one channel, or down one, below everything, and up another.
struct Route {
    first: Channel,
    last: Channel,
}

impl Route {
    fn new(kind: LinkKind, own: Column, other: Column) -> Self {
        use Channel::{InnerLeft, InnerRight, OuterLeft, OuterRight};
        let side = |column: Column| match column {
            Column::Principals => OuterLeft,
            Column::Actions => InnerRight,
            Column::Others => OuterRight,
        };
        let (first, last) = match (kind, other) {
            (LinkKind::Member, _) => (side(own), side(other)),
            (_, Column::Principals) => (InnerLeft, InnerLeft),
            _ => (InnerRight, InnerRight),
        };
        Self { first, last }
    }

    fn is_detour(&self) -> bool {
        self.first != self.last
    }
}

impl Tracks {
    pub fn new(cards: &[Card], boxes: &[Place]) -> Self {
        let mut ends: BTreeMap<(Channel, Bundle), Vec<usize>> = BTreeMap::new();
        let mut detours = BTreeSet::new();
        for (card, own) in cards.iter().zip(boxes) {
            for link in &card.links {
                let Some(other) = boxes.get(link.card) else { continue };
                let route = Route::new(link.kind, own.column, other.column);
                if route.is_detour() {
                    detours.insert(link.card);
                }
                for channel in [route.first, route.last] {
                    let bundle = (link.kind, link.card);
                    ends.entry((channel, bundle)).or_default().push(own.y + row_y(link.row));
                }
            }
        }
        let mut order: Vec<_> = ends
            .into_iter()
            .map(|((channel, bundle), ends)| {
                let y = boxes.get(bundle.1).map(|place| place.y).unwrap_or_default();
                let goes_down = ends.iter().sum::<usize>() / ends.len().max(1) > y;
                // Of lines that go down, the upper turn last, so that they cross the lower less often.
                (channel, goes_down, if goes_down { usize::MAX - y } else { y }, bundle)
            })
            .collect();
        order.sort_unstable();
        let mut tracks = Self::default();
        for (channel, _, _, bundle) in order {
            let count = tracks.counts.entry(channel).or_default();
            tracks.numbers.insert((channel, bundle), *count);
            *count += 1;
        }
        tracks.detours = detours.into_iter().enumerate().map(|(number, card)| (card, number)).collect();
        tracks
    }

    pub fn width(&self, channel: Channel) -> usize {
        let is_outer = matches!(channel, Channel::OuterLeft | Channel::OuterRight);
        match self.counts.get(&channel) {
            None if is_outer => MARGIN,
            None => 2 * MARGIN,
            Some(count) => 2 * MARGIN + (count - 1) * TRACK,
        }
    }

    /// How many tracks there are below everything.
    pub fn detours(&self) -> usize {
        self.detours.len()
    }

    /// How far a track is from the left end of its channel.
    fn offset(&self, channel: Channel, bundle: Bundle) -> usize {
        MARGIN + self.numbers.get(&(channel, bundle)).copied().unwrap_or_default() * TRACK
    }
}

/// All lines. Detours run below `bottom`.
pub fn lines(
    cards: &[Card],
    boxes: &[Place],
    tracks: &Tracks,
    channels: &BTreeMap<Channel, usize>,
    bottom: usize,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for (card, own) in cards.iter().zip(boxes) {
        for link in &card.links {
            let Some(other) = boxes.get(link.card) else { continue };
            let track = |channel: Channel| {
                let start = channels.get(&channel).copied().unwrap_or_default();
                start + tracks.offset(channel, (link.kind, link.card))
            };
            let route = Route::new(link.kind, own.column, other.column);
            let port = match link.kind {
                LinkKind::Principal => HEAD / 3,
                LinkKind::Resource => 2 * HEAD / 3,
                LinkKind::Member => HEAD / 2,
            };
            let (from, to) = (own.y + row_y(link.row), other.y + port);
            let mut corners = vec![(side(own, route.first), from), (track(route.first), from)];
            if route.is_detour() {
                let below = bottom + tracks.detours.get(&link.card).copied().unwrap_or_default() * TRACK;
                corners.extend([(track(route.first), below), (track(route.last), below)]);
            }
            corners.extend([(track(route.last), to), (side(other, route.last), to)]);
            // A principal comes to its actions, all others go from the row to the other card.
            if link.kind == LinkKind::Principal {
                corners.reverse();
            }
            lines.push(Line { kind: link.kind, corners });
        }
    }
    lines
}

/// The side of a box at a channel.
fn side(place: &Place, channel: Channel) -> usize {
    let is_left = match place.column {
        Column::Principals => channel == Channel::OuterLeft,
        Column::Actions => channel <= Channel::InnerLeft,
        Column::Others => channel <= Channel::InnerRight,
    };
    if is_left { place.x } else { place.x + place.width }
}

/// The distance between tracks.
pub const TRACK: usize = 9;
