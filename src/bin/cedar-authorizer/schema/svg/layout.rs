//! Where the boxes and lines of a picture are.
//!
//! ```text
//!  left     principals    inner left    actions    inner right    resources    outer right
//!  ┌──────┐                             ┌──────┐                  ┌──────┐
//!  │ User ├───────────────┐             │ get  │      ┌──────────▶│ Pet  ├───┐ in
//!  └─┬────┘               └────────────▶│ post ├──────┘           └──────┘   │
//!    │ in                               └──────┘                  ┌──────┐   │
//!  ┌─▼────┐                                                       │ Shop │◀──┘
//!  │ Group│                                                       └──────┘
//! ```
//!
//! Lines run in the channels between the columns. All lines of one kind to or from one box share a track there.

use std::collections::{BTreeMap, BTreeSet};

use super::super::card::{Card, CardKind, LinkKind};
use super::super::text::cells;

/// All places, in pixels.
pub struct Layout {
    pub width: usize,
    pub height: usize,
    /// The places of the boxes, in the order of the cards.
    pub boxes: Vec<Place>,
    /// The left ends of the columns.
    pub columns: [usize; 3],
    pub lines: Vec<Line>,
}

/// The place of a box.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    pub column: usize,
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

/// A line along some corners, with an arrowhead at its end.
pub struct Line {
    pub kind: LinkKind,
    pub corners: Vec<(usize, usize)>,
}

impl Layout {
    pub fn new(cards: &[Card]) -> Self {
        let columns = columns(cards);
        let mut boxes: Vec<Place> = cards
            .iter()
            .zip(&columns)
            .map(|(card, column)| Place { column: *column, height: height(card), ..Place::default() })
            .collect();
        place_down(cards, &mut boxes);
        let tracks = Tracks::new(cards, &boxes);
        let starts = place_across(cards, &mut boxes, &tracks);
        let bottom = boxes.iter().map(|place| place.y + place.height).max().unwrap_or(TOP) + MARGIN;
        let lines = lines(cards, &boxes, &tracks, &starts, bottom);
        Self {
            width: starts.end.max(MIN_WIDTH),
            height: bottom + tracks.detours.len() * TRACK + FOOT,
            boxes,
            columns: starts.columns,
            lines,
        }
    }
}

/// The column of each card: principals and what they can be members of, actions, all others.
fn columns(cards: &[Card]) -> Vec<usize> {
    let is_action =
        |card: &Card| matches!(card.kind, CardKind::Action | CardKind::Actions | CardKind::ActionGroup);
    let links =
        |kind: LinkKind| cards.iter().flat_map(|card| &card.links).filter(move |link| link.kind == kind);
    let mut left: BTreeSet<usize> = links(LinkKind::Principal).map(|link| link.card).collect();
    let mut open: Vec<usize> = left.iter().copied().collect();
    while let Some(next) = open.pop() {
        let parents = cards.get(next).into_iter().flat_map(|card| &card.links);
        open.extend(parents.map(|link| link.card).filter(|parent| left.insert(*parent)));
    }
    let column = |(number, card): (usize, &Card)| match card {
        card if is_action(card) => ACTIONS,
        _ if left.contains(&number) => LEFT,
        _ => RIGHT,
    };
    cards.iter().enumerate().map(column).collect()
}

fn height(card: &Card) -> usize {
    let body = if card.rows.is_empty() { 0 } else { card.rows.len() * ROW + 2 * PAD };
    HEAD + body
}

/// Where the text of a row stands, from the top of its box.
pub fn row_y(row: usize) -> usize {
    HEAD + PAD + row * ROW + ROW / 2
}

/// Puts the actions below each other in their order, and each other box beside what it is connected with.
fn place_down(cards: &[Card], boxes: &mut [Place]) {
    let mut y = TOP;
    for place in boxes.iter_mut().filter(|place| place.column == ACTIONS) {
        place.y = y;
        y += place.height + GAP;
    }
    let wanted = wanted(cards, boxes);
    for column in [LEFT, RIGHT] {
        let mut order: Vec<(usize, usize)> = boxes
            .iter()
            .enumerate()
            .filter(|(_, place)| place.column == column)
            .map(|(number, _)| (wanted.get(&number).copied().unwrap_or(usize::MAX), number))
            .collect();
        order.sort_unstable();
        let mut y = TOP;
        for (wanted, number) in order {
            let Some(place) = boxes.get_mut(number) else { continue };
            if wanted != usize::MAX {
                y = y.max(wanted.saturating_sub(place.height / 2));
            }
            place.y = y;
            y += place.height + GAP;
        }
    }
}

/// The heights at which entity types should be: at the middle of their actions, but near the first of many; or else just below a type that can be
/// a member of them.
fn wanted(cards: &[Card], boxes: &[Place]) -> BTreeMap<usize, usize> {
    let mut ends: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (card, place) in cards.iter().zip(boxes) {
        for link in card.links.iter().filter(|link| link.kind != LinkKind::Member) {
            ends.entry(link.card).or_default().push(place.y + row_y(link.row));
        }
    }
    let middle = |ends: &Vec<usize>| {
        let first = ends.iter().min().copied().unwrap_or_default();
        (ends.iter().sum::<usize>() / ends.len().max(1)).min(first + SCREEN)
    };
    let mut wanted: BTreeMap<usize, usize> = ends.iter().map(|(card, ends)| (*card, middle(ends))).collect();
    let mut open: Vec<usize> = wanted.keys().copied().collect();
    while let Some(next) = open.pop() {
        let below = wanted.get(&next).copied().unwrap_or_default() + 1;
        for link in cards.get(next).into_iter().flat_map(|card| &card.links) {
            wanted.entry(link.card).or_insert_with(|| {
                open.push(link.card);
                below
            });
        }
    }
    wanted
}

/// The channels between the columns. The number of a channel is that of the column on its right.
const CHANNELS: usize = 4;

/// Which track of which channel each bundle of lines has.
#[derive(Default)]
struct Tracks {
    /// By channel: the bundles, from left to right.
    channels: [Vec<Bundle>; CHANNELS],
    /// The bundles of memberships between the left and the right column, which go below everything.
    detours: Vec<usize>,
}

/// Lines that share a track: those of one kind to or from one card.
type Bundle = (LinkKind, usize);

impl Tracks {
    fn new(cards: &[Card], boxes: &[Place]) -> Self {
        let mut channels: [BTreeMap<Bundle, Vec<usize>>; CHANNELS] = Default::default();
        let mut detours = BTreeSet::new();
        for (card, own) in cards.iter().zip(boxes) {
            for link in &card.links {
                let Some(other) = boxes.get(link.card) else { continue };
                let (used, is_detour) = route(link.kind, own.column, other.column);
                if is_detour {
                    detours.insert(link.card);
                }
                for channel in used {
                    if let Some(bundles) = channels.get_mut(channel) {
                        bundles.entry((link.kind, link.card)).or_default().push(own.y + row_y(link.row));
                    }
                }
            }
        }
        let mut tracks = Self { detours: detours.into_iter().collect(), ..Self::default() };
        for (channel, bundles) in channels.into_iter().enumerate() {
            let mut order: Vec<((bool, usize), Bundle)> = bundles
                .into_iter()
                .map(|(bundle, ends)| {
                    let y = boxes.get(bundle.1).map(|place| place.y).unwrap_or_default();
                    let goes_down = ends.iter().sum::<usize>() / ends.len().max(1) > y;
                    // Of lines that go down, the upper turn last, so that they cross the lower less often.
                    ((goes_down, if goes_down { usize::MAX - y } else { y }), bundle)
                })
                .collect();
            order.sort_unstable();
            if let Some(of_channel) = tracks.channels.get_mut(channel) {
                *of_channel = order.into_iter().map(|(_, bundle)| bundle).collect();
            }
        }
        tracks
    }

    fn width(&self, channel: usize) -> usize {
        match self.channels.get(channel).map_or(0, Vec::len) {
            0 if channel == 0 || channel == CHANNELS - 1 => MARGIN,
            count => 2 * MARGIN + count.saturating_sub(1) * TRACK,
        }
    }

    /// How far a track is from the left end of its channel.
    fn offset(&self, channel: usize, bundle: Bundle) -> usize {
        let place =
            self.channels.get(channel).and_then(|bundles| bundles.iter().position(|known| *known == bundle));
        MARGIN + place.unwrap_or_default() * TRACK
    }
}

/// The channels that a line goes through, and whether it goes below everything from the first to the second.
fn route(kind: LinkKind, own: usize, other: usize) -> (Vec<usize>, bool) {
    match (kind, own, other) {
        (LinkKind::Member, LEFT, LEFT) => (vec![LEFT], false),
        (LinkKind::Member, ACTIONS, _) => (vec![ACTIONS + 1], false),
        (LinkKind::Member, RIGHT, RIGHT) => (vec![RIGHT + 1], false),
        (LinkKind::Member, RIGHT, _) => (vec![RIGHT + 1, LEFT], true),
        (LinkKind::Member, ..) => (vec![LEFT, RIGHT + 1], true),
        (_, _, LEFT) => (vec![ACTIONS], false),
        (..) => (vec![RIGHT], false),
    }
}

/// Where the channels and columns begin.
#[derive(Default)]
struct Starts {
    channels: [usize; CHANNELS],
    columns: [usize; 3],
    end: usize,
}

fn place_across(cards: &[Card], boxes: &mut [Place], tracks: &Tracks) -> Starts {
    let mut starts = Starts::default();
    let mut x = 0;
    for column in [LEFT, ACTIONS, RIGHT] {
        if let Some(start) = starts.channels.get_mut(column) {
            *start = x;
        }
        x += tracks.width(column);
        if let Some(start) = starts.columns.get_mut(column) {
            *start = x;
        }
        let own = cards.iter().zip(boxes.iter_mut()).filter(|(_, place)| place.column == column);
        let (own, mut widest): (Vec<_>, usize) = (own.collect(), MIN_BOX);
        for (card, _) in &own {
            widest = widest.max(width(card));
        }
        for (_, place) in own {
            (place.x, place.width) = (x, widest);
        }
        x += widest;
    }
    if let Some(start) = starts.channels.get_mut(CHANNELS - 1) {
        *start = x;
    }
    starts.end = x + tracks.width(CHANNELS - 1);
    starts
}

/// The width that the texts of a card need.
fn width(card: &Card) -> usize {
    let rows = card.rows.iter().map(|row| {
        let label = if row.section.label().is_empty() { 0 } else { card.label_cells() };
        label + row.depth * INDENT_CELLS + cells(&row.name) + cells(&row.detail)
    });
    let longest = rows.chain([cells(&card.title)]).max().unwrap_or_default();
    // A tenth of a pixel is lost in no cell: the width of one is rounded up.
    (longest * CELL_TENTHS).div_ceil(10) + 2 * PAD_X
}

fn lines(cards: &[Card], boxes: &[Place], tracks: &Tracks, starts: &Starts, bottom: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (card, own) in cards.iter().zip(boxes) {
        for link in &card.links {
            let Some(other) = boxes.get(link.card) else { continue };
            let bundle = (link.kind, link.card);
            let track = |channel: usize| {
                starts.channels.get(channel).copied().unwrap_or_default() + tracks.offset(channel, bundle)
            };
            let (channels, is_detour) = route(link.kind, own.column, other.column);
            let (Some(first), Some(last)) = (channels.first().copied(), channels.last().copied()) else {
                continue;
            };
            let port = match link.kind {
                LinkKind::Principal => HEAD / 3,
                LinkKind::Resource => 2 * HEAD / 3,
                LinkKind::Member => HEAD / 2,
            };
            let (from, to) = (own.y + row_y(link.row), other.y + port);
            let mut corners = vec![(side(own, first), from), (track(first), from)];
            if is_detour {
                let place = tracks.detours.iter().position(|card| *card == link.card).unwrap_or_default();
                let below = bottom + place * TRACK;
                corners.extend([(track(first), below), (track(last), below)]);
            }
            corners.extend([(track(last), to), (side(other, last), to)]);
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
fn side(place: &Place, channel: usize) -> usize {
    if channel <= place.column { place.x } else { place.x + place.width }
}

pub const LEFT: usize = 0;
pub const ACTIONS: usize = 1;
pub const RIGHT: usize = 2;

/// The height of the head of a box: its kind and its title.
pub const HEAD: usize = 44;
pub const ROW: usize = 18;
/// Above and below the rows of a box.
pub const PAD: usize = 7;
/// At the left and right of the texts of a box.
pub const PAD_X: usize = 12;
/// Above the first boxes: the title, and the heads of the columns.
pub const TOP: usize = 96;
/// Below the last boxes: what the colours mean.
pub const FOOT: usize = 40;
pub const MARGIN: usize = 24;
/// About what a reader sees at once.
const SCREEN: usize = 600;
const GAP: usize = 20;
const TRACK: usize = 9;
const MIN_BOX: usize = 170;
const MIN_WIDTH: usize = 640;

/// The width of a letter of 12 pixels in tenths of a pixel. The common fonts of one width, at 0.6 of their height, have
/// 72.
pub const CELL_TENTHS: usize = 74;
pub const INDENT_CELLS: usize = 2;
