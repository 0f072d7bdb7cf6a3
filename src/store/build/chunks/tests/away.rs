//! Bundles whose chunks are away: each is supplied when somebody asks for it, as the function does.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, LazyLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use cedar_policy::{Entity, PolicyId};
use serde_json::{Value, json};

use super::worlds::{
    CedarRequest, World, answer_of, ask_all, cedar_request, naive, naive_of, principal, world,
};
use super::*;
use crate::bundle::archive::end_length;
use crate::bundle::chunks::{ChunkId, PlacedChunk, chunk_cache};
use crate::bundle::layout::slice;
use crate::bundle::policies::Slice;
use crate::bundle::{Bundle, DevelopmentKeys, Opening, Unreadable};
use crate::decide::outcome::{Breadth, Outcome};
use crate::decide::principal::Principal;
use crate::decide::resource::Resource;
use crate::decide::subject::Subject;
use crate::decide::{AuthorizationRequest, CedarGate, Decision, Gate, Session};
use crate::gateway::cache_key::CacheKey;
use crate::gateway::call::Call;
use crate::reason::Reason;
use crate::store::build;
use crate::time::UnixTime;
use crate::token::key_set::KeySets;

/// A bundle of whose file only the end is here.
pub(super) struct Away {
    pub(super) bundle: Arc<Bundle>,
    file: Bytes,
    /// This one is never supplied.
    withheld: Option<ChunkId>,
    /// What was asked for.
    asked: RefCell<BTreeSet<ChunkId>>,
    /// The most rounds that an answer took.
    rounds: Cell<usize>,
}

impl Away {
    /// `beyond` bytes of the chunks came with the head.
    pub(super) fn open(file: &[u8], cache_bytes: u64, beyond: usize) -> Self {
        let file = Bytes::copy_from_slice(file);
        let end = usize::try_from(end_length(&file).unwrap()).unwrap();
        let start = file.len().saturating_sub(end + beyond).max(1);
        let opening = Opening::away(file.slice(start..), file.len() as u64, chunk_cache(cache_bytes));
        let bundle = Arc::new(Bundle::open(opening, DevelopmentKeys::Refuse).unwrap());
        Self { bundle, file, withheld: None, asked: RefCell::default(), rounds: Cell::new(0) }
    }

    /// Answers as the function does: what was asked for is supplied, and then it is tried again.
    pub(super) fn answer<T>(&self, mut attempt: impl FnMut(usize) -> Result<T, Reason>) -> Result<T, Reason> {
        let _holding = self.bundle.hold().unwrap();
        let mut known = HashSet::new();
        for round in 0..MOST_ROUNDS {
            self.rounds.set(self.rounds.get().max(round));
            match attempt(round) {
                Err(Reason::BundleAway) => {}
                decided => return decided,
            }
            let wanted = self.bundle.wanted();
            assert!(!wanted.is_empty(), "nothing was asked for");
            self.asked.borrow_mut().extend(wanted.iter().map(|chunk| chunk.id));
            for chunk in &wanted {
                assert!(known.insert(chunk.id), "{chunk:?} was asked for twice");
                if self.withheld != Some(chunk.id) {
                    self.refuses_wrong_bytes(chunk);
                    self.bundle.supply(chunk, &self.bytes(chunk)).unwrap();
                }
            }
            if wanted.iter().any(|chunk| self.withheld == Some(chunk.id)) {
                // Another attempt may do without it, but cannot decide otherwise.
                return attempt(round + 1);
            }
            assert_eq!(self.bundle.wanted(), []);
        }
        panic!("{MOST_ROUNDS} rounds were not enough");
    }

    fn bytes(&self, chunk: &PlacedChunk) -> Bytes {
        Bytes::copy_from_slice(slice(&self.file, &chunk.range).unwrap())
    }

    /// Whatever else comes in the place of a chunk, it is still wanted.
    fn refuses_wrong_bytes(&self, chunk: &PlacedChunk) {
        let right = self.bytes(chunk);
        let flipped = |position: usize| {
            let mut bytes = right.to_vec();
            bytes[position] ^= 1;
            Bytes::from(bytes)
        };
        let length = right.len();
        let later = PlacedChunk { id: chunk.id, range: chunk.range.start + 1..chunk.range.end + 1 };
        let wrong = [
            flipped(0),
            flipped(length / 2),
            flipped(length - 1),
            right.slice(1..),
            right.slice(..length - 1),
            [&right[..], b"\0"].concat().into(),
            Bytes::new(),
            self.bytes(&later),
        ];
        for bytes in wrong {
            assert_eq!(self.bundle.supply(chunk, &bytes), Err(Unreadable::Malformed));
        }
        assert!(self.bundle.wanted().contains(chunk));
    }
}

/// More than the function allows would be a fault. The stores here are small, but their entities form chains.
const MOST_ROUNDS: usize = 16;

/// What the policies say: the decision, and the slice by ids.
pub(super) fn decided(bundle: &Bundle, asked: &Asked) -> Result<(Decision, [Vec<PolicyId>; 3]), Reason> {
    let (uid_of_principal, attributes, parents) = asked.principal.clone().into_inner();
    let ancestors = bundle.entities().all_with_ancestors(&parents)?;
    let line: Vec<EntityUid> = [uid_of_principal.clone()].into_iter().chain(ancestors).collect();
    let known = Principal { uid: uid_of_principal, parents, attributes };
    let subject = Subject::new(bundle, known)?;
    let resource = Resource { uid: asked.resource.clone(), entity: None };
    let decision = subject.decide(bundle, &asked.action, resource, || Some(context(asked.x)))?;
    let index = bundle.policy_index();
    let Slice { permits, forbids, conditional } =
        index.slice(&index.for_principal(&line)?, &asked.action, &asked.resource, bundle.entities())?;
    let conditional = conditional.iter().map(|policy| policy.id().clone()).collect();
    Ok((decision, [permits, forbids, conditional]))
}

#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) principal: Entity,
    pub(super) action: EntityUid,
    pub(super) resource: EntityUid,
    pub(super) x: Option<i64>,
}

pub(super) fn asked() -> impl Strategy<Value = Asked> {
    let parts = (
        principal(),
        select(vec!["Action read", "Action write", "Action any", "Action other", "Action unheard-of"]),
        select(vec!["Doc d0", "Doc d1", "Doc d2", "Folder f1", "User u0"]),
        proptest::option::of(0..2_i64),
    );
    parts.prop_map(|(principal, action, resource, x)| Asked {
        principal,
        action: uid(action),
        resource: uid(resource),
        x,
    })
}

/// How many bytes the cache has room for, and how many bytes of chunks come with the head.
fn room() -> impl Strategy<Value = (u64, usize)> {
    (select(vec![0, 2500]), select(vec![0, 0, 700]))
}

pub(super) fn open(file: &[u8]) -> Bundle {
    Bundle::open(file.to_vec(), DevelopmentKeys::Refuse).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_chunk_by_chunk_decides_as_cedar_does_on_everything(
        world in world(),
        sizes in sizes(),
        (cache_bytes, beyond) in room(),
        requests in proptest::collection::vec(asked(), 1..5),
    ) {
        let files = world.files();
        let (store, file) = built(&files, sizes, 1);
        let whole = open(&build::bundle(&store, &files, 1).unwrap());
        let away = Away::open(&file, cache_bytes, beyond);
        for asked in &requests {
            let found = away.answer(|_| decided(&away.bundle, asked)).unwrap();
            let Asked { principal, action, resource, x } = asked;
            let naive = naive(&store, principal.clone(), action, resource, context(*x));
            prop_assert_eq!(&found.0, &naive);
            prop_assert_eq!(&found, &decided(&whole, asked).unwrap());
            // With the chunks in memory.
            prop_assert_eq!(&found, &decided(&open(&file), asked).unwrap());
        }
    }

    #[test]
    fn gates_answer_as_if_all_chunks_were_here(
        world in world(),
        sizes in sizes(),
        (cache_bytes, beyond) in room(),
        requests in proptest::collection::vec(cedar_request(), 1..4),
    ) {
        let (store, file) = built(&world.files(), sizes, 1);
        let away = Away::open(&file, cache_bytes, beyond);
        let gate = Gate::new(Arc::clone(&away.bundle), KeySets::default());
        let cedar_gate = CedarGate::of_bundle(&away.bundle);
        for CedarRequest { principal, given, action, resource, context } in requests {
            let request = AuthorizationRequest::new(action.clone(), resource.clone())
                .with_context(context.clone())
                .with_entities(given.clone());
            let response = ask_all(&store, &given, &principal, &action, &resource, context.clone());
            let expected = response.as_ref().map(answer_of).ok_or(Reason::RequestInvalid);
            let answer = away.answer(|_| cedar_gate.is_authorized(&principal, &request)).map(|decided| {
                let failed = decided.decision.errors.iter().map(ToString::to_string);
                let errors = failed.zip(decided.messages.clone()).collect();
                let policies = decided.decision.policies.iter().map(ToString::to_string).collect();
                (decided.decision.is_allowed(), policies, errors)
            });
            prop_assert_eq!(&answer, &expected);
            let decision = away.answer(|_| gate.is_authorized(&principal, &request)).unwrap();
            prop_assert_eq!(decision, naive_of(&store, given, &principal, &action, &resource, context));
        }
    }

    /// Without one of the chunks that it asks for, an answer is the right one or none.
    #[test]
    fn without_a_chunk_there_is_the_right_answer_or_a_fault(
        world in world(),
        sizes in sizes(),
        requests in proptest::collection::vec(asked(), 1..4),
    ) {
        let (store, file) = built(&world.files(), sizes, 1);
        for asked in &requests {
            let Asked { principal, action, resource, x } = asked;
            let naive = naive(&store, principal.clone(), action, resource, context(*x));
            let all = Away::open(&file, 0, 0);
            prop_assert_eq!(all.answer(|_| decided(&all.bundle, asked)).unwrap().0, naive.clone());
            for chunk in all.asked.take() {
                let mut away = Away::open(&file, 0, 0);
                away.withheld = Some(chunk);
                match away.answer(|_| decided(&away.bundle, asked)) {
                    Ok((decision, _)) => prop_assert_eq!(decision, naive.clone()),
                    Err(reason) => prop_assert_eq!(reason, Reason::BundleAway),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_came_with_the_head_is_not_asked_for(
        world in world(),
        sizes in sizes(),
        requests in proptest::collection::vec(asked(), 1..4),
    ) {
        let (_, file) = built(&world.files(), sizes, 1);
        let away = Away::open(&file, 1 << 20, file.len());
        for asked in &requests {
            prop_assert!(decided(&away.bundle, asked).is_ok());
        }
        prop_assert_eq!(away.bundle.wanted(), []);
    }
}

// --- Calls, and answers for the whole API.

const ROUTES: [(&str, &str, &str); 9] = [
    ("/r0", "read", ""),
    ("/r1", "write", ""),
    ("/r2", "any", ""),
    ("/r3", "read", "resource = 'Doc::\"d1\"'"),
    ("/r4", "write", "resource = 'Doc::\"d1\"'\nattributes = { level = '1' }"),
    ("/r5", "read", "resource = 'Folder::\"f1\"'"),
    ("/r6", "any", "resource = 'Group::\"g0\"'\nattributes = { level = '1' }"),
    ("/r7", "read", "resource = 'User::\"u0\"'\nattributes = { level = '1' }"),
    ("/r8", "other", "resource = 'Doc::\"d2\"'"),
];

static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

fn token(id: &str, groups: &[&str]) -> String {
    let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let claims = json!({
        "iss": "https://auth.example.com", "aud": "x", "sub": id, "groups": groups, "level": 1,
        "iat": NOW, "exp": NOW + 3600,
    });
    let input = format!("{}.{}", encode(json!({"alg": "EdDSA", "kid": "k"})), encode(claims));
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(KEY.sign(input.as_bytes())))
}

const NOW: u64 = 1_800_000_000;

/// The files of a world with these routes, and with a key.
fn with_routes<'a>(
    mut files: StoreFiles,
    routes: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
) -> StoreFiles {
    let routes: String = routes
        .into_iter()
        .map(|(path, action, rest)| {
            format!("[[routes]]\nmethod = 'GET'\npath = '{path}'\naction = '{action}'\n{rest}\n")
        })
        .collect();
    let settings = format!(
        "[store]\nname = 'slices'\nnamespace = ''\nvalidation = 'off'\n[tokens]\ntype = 'access'\n\
         [api]\nresource = 'Doc::\"d0\"'\n{routes}"
    );
    let x = URL_SAFE_NO_PAD.encode(KEY.public_key());
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]});
    files.insert("store.toml".to_owned(), settings.into_bytes());
    files.insert("jwks/x.json".to_owned(), keys.to_string().into_bytes());
    files
}

fn session(bundle: &Arc<Bundle>, token: &str) -> Session {
    let gate = Gate::with_pinned_keys(Arc::clone(bundle));
    gate.authenticate(token, UnixTime::from_seconds(NOW + 1)).unwrap()
}

fn call(token: &str, path: &str) -> Call {
    let arn = format!("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET{path}");
    let event = json!({"type": "TOKEN", "authorizationToken": token, "methodArn": arn});
    Call::from_json(&event.to_string()).unwrap()
}

/// What an outcome says.
fn told(outcome: &Outcome) -> impl PartialEq + std::fmt::Debug + use<> {
    (outcome.decision.clone(), outcome.grant.statements().to_vec(), outcome.breadth)
}

impl Away {
    /// Answers a call as the function does.
    fn call(&self, session: &Session, call: &Call, cache_key: &CacheKey) -> Result<Arc<Outcome>, Reason> {
        self.answer(|round| {
            let outcome = session.authorize(call, cache_key);
            if round == 0 && outcome.as_ref().is_err_and(|reason| *reason == Reason::BundleAway) {
                session.ask_ahead(call, cache_key);
            }
            outcome
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calls_are_answered_as_if_all_chunks_were_here(
        world in world(),
        sizes in sizes(),
        (cache_bytes, beyond) in room(),
        callers in proptest::collection::vec(
            (
                select(vec!["u0", "u1", "u2"]),
                proptest::sample::subsequence(vec!["g0", "g1", "g2", "g9"], 0..=4),
                select(&ROUTES[..]),
                select(vec![CacheKey::None, CacheKey::Token]),
            ),
            1..4,
        ),
    ) {
        let files = with_routes(world.files(), ROUTES);
        let (store, file) = built(&files, sizes, 1);
        let whole = Arc::new(open(&build::bundle(&store, &files, 1).unwrap()));
        let away = Away::open(&file, cache_bytes, beyond);
        for (id, groups, (path, ..), cache_key) in callers {
            let token = token(id, &groups);
            let call = call(&token, path);
            let expected = session(&whole, &token).authorize(&call, &cache_key).unwrap();
            let found = away.call(&session(&away.bundle, &token), &call, &cache_key).unwrap();
            prop_assert_eq!(told(&found), told(&expected));
        }
    }
}

/// A forbid that is only found through a group, and one whose template is in a chunk of its own: if what leads to them is
/// away, nothing is allowed.
#[test]
fn no_forbid_is_forgotten_because_it_is_away() {
    let entity = |kind: &str, id: &str, parents: Value| json!({"uid": {"type": kind, "id": id}, "attrs": {}, "parents": parents});
    let world = World {
        policies: vec![
            "permit (principal, action, resource);".to_owned(),
            // With policies of its own, the group as an entity is in another chunk than they are.
            "permit (principal in Group::\"g0\", action, resource);".to_owned(),
            "forbid (principal in Group::\"g1\", action, resource == Doc::\"d1\");".to_owned(),
        ],
        templates: vec![
            "forbid (principal, action, resource == ?resource);".to_owned(),
            // What is looked for and is nowhere leads to the chunk before, so that must not be the one of the other
            // template.
            "permit (principal == ?principal, action, resource);".to_owned(),
        ],
        links: vec![json!({
            "id": "link", "templateId": "t#1",
            "resource": {"entityType": "Doc", "entityId": "d2"}
        })],
        entities: vec![
            entity("Group", "g0", json!([{"type": "Group", "id": "g1"}])),
            entity("Group", "g1", json!([])),
        ],
    };
    let routes = [
        ("/r0", "read", ""),
        ("/r1", "read", "resource = 'Doc::\"d1\"'"),
        ("/r2", "read", "resource = 'Doc::\"d2\"'"),
    ];
    let (_, file) = built(&with_routes(world.files(), routes), SINGLE, 1);
    let whole = Arc::new(open(&file));
    let token = token("u0", &["g0"]);
    for (path, cache_key) in
        routes.iter().flat_map(|(path, ..)| [(path, CacheKey::None), (path, CacheKey::Token)])
    {
        let call = call(&token, path);
        let answer = |away: &Away| away.call(&session(&away.bundle, &token), &call, &cache_key);
        let expected = session(&whole, &token).authorize(&call, &cache_key).unwrap();
        assert_eq!(expected.decision.is_allowed(), *path == "/r0");
        let all = Away::open(&file, 0, 0);
        assert_eq!(told(&answer(&all).unwrap()), told(&expected));
        let asked = all.asked.take();
        assert!(asked.len() > 4, "{asked:?}");
        for chunk in asked {
            let mut away = Away::open(&file, 0, 0);
            away.withheld = Some(chunk);
            match answer(&away) {
                Ok(outcome) => assert_eq!(told(&outcome), told(&expected)),
                Err(reason) => assert_eq!(reason, Reason::BundleAway),
            }
        }
    }
}

/// An answer for the whole API needs something of every route. It asks for all of that at once.
#[test]
fn an_answer_for_many_routes_takes_a_few_rounds() {
    let resource = |number: usize| format!("resource = 'Doc::\"d{number}\"'");
    let routes: Vec<(String, String)> =
        (0..100).map(|number| (format!("/r{number}"), resource(number))).collect();
    let entities = (0..100).map(|number| {
        let parents = json!([{"type": "Folder", "id": format!("f{}", number / 2)}]);
        json!({"uid": {"type": "Doc", "id": format!("d{number}")}, "attrs": {"level": number}, "parents": parents})
    });
    let folders = (0..50).map(
        |number| json!({"uid": {"type": "Folder", "id": format!("f{number}")}, "attrs": {}, "parents": []}),
    );
    let policies = (0..50).map(|number| {
        format!(
            "permit (principal, action, resource in Folder::\"f{number}\") when {{ resource.level < 60 }};"
        )
    });
    let world = World {
        policies: policies.collect(),
        templates: vec![],
        links: vec![],
        entities: entities.chain(folders).collect(),
    };
    let routes = routes.iter().map(|(path, rest)| (path.as_str(), "read", rest.as_str()));
    let files = with_routes(world.files(), routes);
    let (_, file) = built(&files, SINGLE, 1);
    let away = Away::open(&file, 0, 0);
    let token = token("u0", &[]);
    let call = call(&token, "/r7");
    let outcome = away.call(&session(&away.bundle, &token), &call, &CacheKey::Token).unwrap();
    assert_eq!(outcome.decision.reason, Reason::AllowedByPolicy);
    let Breadth::Api { allowed, left_out, .. } = outcome.breadth else { panic!("{:?}", outcome.breadth) };
    assert_eq!(allowed + left_out, 60);
    assert!(away.rounds.get() <= 6, "{}", away.rounds.get());
}

/// Whether for one decision or for the whole API: all that the policies of a caller need is asked for at once.
#[test]
fn links_of_many_templates_take_a_few_rounds() {
    let number_of = |number: usize| {
        json!({
            "id": format!("link {number}"), "templateId": format!("t#{}", number + 1),
            "principal": {"entityType": "User", "entityId": "u0"}
        })
    };
    let template = |number: usize| {
        format!("permit (principal == ?principal, action, resource) when {{ context.x == {number} }};")
    };
    let world = World {
        policies: vec![],
        templates: (0..40).map(template).collect(),
        links: (0..40).map(number_of).collect(),
        entities: vec![],
    };
    let (_, file) = built(&with_routes(world.files(), ROUTES), SINGLE, 1);
    let token = token("u0", &[]);
    for cache_key in [CacheKey::None, CacheKey::Token] {
        let away = Away::open(&file, 0, 0);
        let call = call(&token, "/r0");
        let outcome = away.call(&session(&away.bundle, &token), &call, &cache_key).unwrap();
        assert_eq!(outcome.decision.errors.len(), 40);
        assert!(away.rounds.get() <= 4, "{cache_key}: {}", away.rounds.get());
    }
}
