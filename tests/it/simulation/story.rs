//! What happens in a world, as a seed has it: rounds of work and faults, then calm, in which everything has to arrive.

use std::collections::{BTreeMap, BTreeSet};

use sovereign_client::{GroupState, Policy};

use super::{
    ledger::{Group, short},
    network::Weather,
    world::{World, mark},
};

/// Rounds of faults and calm in a run.
const ROUNDS: u64 = 2;
/// Longest time in which a healed world has everything where it belongs: dead wires are found after 75 s, and clients
/// that failed again and again wait for up to a minute.
const SETTLING_MS: u64 = 300_000;
/// Between two looks at whether all is where it belongs.
const LOOK_MS: u64 = 1000;
/// Longest way of a message where nothing fails: two latencies, a slow store, no retry.
const PROMPT_MS: u64 = 5000;

/// Runs a seed to its end, or to the first violation.
pub fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    let mut story = Story { groups: Vec::new(), next_text: 0, said: BTreeMap::new() };
    story.begin(&mut world);
    for round in 0..ROUNDS {
        world.ledger.look().note(&format!("round {round}"));
        story.work(&mut world);
        world.heal();
        story.settle(&mut world);
        story.check(&mut world);
        story.speak_in_peace(&mut world);
        if world.is_broken() {
            break;
        }
    }
    world
}

struct Story {
    groups: Vec<Group>,
    next_text: u64,
    /// Texts in outboxes, by who said them.
    said: BTreeMap<String, usize>,
}

impl Story {
    /// Somebody makes a group with everybody.
    fn begin(&mut self, world: &mut World) {
        self.make_group(world, 0);
        let until = world.now + 60_000;
        while !world.is_at_rest() && world.now < until && !world.is_broken() {
            world.step(until);
        }
        self.learn_groups(world);
        if self.groups.is_empty() {
            world.ledger.look().violation("STUCK: no group can be made".to_owned());
        }
    }

    fn learn_groups(&mut self, world: &World) {
        for who in 0..world.people.len() {
            let groups = world.look(who, |client| async move { client.groups().await });
            for group in groups.and_then(Result::ok).unwrap_or_default() {
                if !self.groups.contains(&group.id) {
                    self.groups.push(group.id);
                }
            }
        }
    }

    fn make_group(&mut self, world: &mut World, who: usize) {
        let others: Vec<String> = world
            .people
            .iter()
            .enumerate()
            .filter(|(other, person)| *other != who && !person.revoked)
            .map(|(_, p)| p.name.clone())
            .collect();
        let name = format!("group {}", self.groups.len());
        world.ask(who, format!("makes {name}"), |client| async move {
            client.create_group(&name, &others, Policy::Equal).await.map(|group| short(&group))
        });
    }

    /// People talk and groups change, while everything that can fail does.
    fn work(&mut self, world: &mut World) {
        let acts = world.dice.within(6..=18);
        for _ in 0..acts {
            if world.is_broken() {
                return;
            }
            self.act(world);
            let pause = if world.dice.chance(15) { world.dice.within(500..=20_000) } else { world.dice.within(0..=300) };
            let until = world.now + pause;
            while world.now < until && !world.is_broken() {
                world.step(until);
            }
        }
        self.learn_groups(world);
    }

    fn act(&mut self, world: &mut World) {
        let who = world.dice.size(0..=world.people.len() - 1);
        let group = world.dice.pick(&self.groups.clone()).copied();
        let other = world.dice.size(0..=world.people.len() - 1);
        let others = vec![world.people[other].name.clone()];
        let Some(group) = group else { return };
        match world.dice.within(0..=99) {
            0..=44 => {
                let burst = if world.dice.chance(20) { world.dice.within(2..=8) } else { 1 };
                for _ in 0..burst {
                    self.say(world, who, group);
                }
            }
            45..=50 => world.ask(who, format!("renews its key in {}", short(&group)), move |client| async move {
                client.update(group).await.map(|()| "done")
            }),
            51..=56 if other != who => {
                world.ask(who, format!("adds {} to {}", others[0], short(&group)), move |client| async move {
                    client.add(group, &others).await.map(|()| "done")
                });
            }
            57..=60 if other != who => {
                world.ask(who, format!("removes {} from {}", others[0], short(&group)), move |client| async move {
                    client.remove(group, &others).await.map(|()| "done")
                });
            }
            61..=62 => world.ask(who, format!("leaves {}", short(&group)), move |client| async move {
                client.leave(group).await.map(|()| "done")
            }),
            63..=64 if self.groups.len() < 3 => self.make_group(world, who),
            65..=66 => {
                world.ask(
                    who,
                    "types".to_owned(),
                    move |client| async move { client.typing(group, true).await.map(|()| "done") },
                );
            }
            67..=69 => world.crash_server("in between"),
            70..=72 => world.crash_behind_write = true,
            73 => world.drain_then_crash(),
            74..=77 => world.crash_client(who),
            78..=82 => {
                world.ledger.look().note(&format!("{}'s wires are cut", world.people[who].name));
                world.ledger.look().counts.network_faults += 1;
                world.network.cut(who);
            }
            83..=95 => Self::spoil_weather(world, who),
            96 if !world.people[who].revoked && world.people.iter().filter(|person| !person.revoked).count() > 2 => {
                world.revoke(who);
            }
            _ => {}
        }
    }

    fn spoil_weather(world: &mut World, who: usize) {
        let until = world.now + world.dice.within(100..=20_000);
        let weather = match world.dice.within(0..=9) {
            0..=3 => Weather::HeldUntil(until),
            4 => Weather::Dead,
            5 => Weather::Deaf,
            6..=7 => Weather::Trickle(world.dice.size(1..=200)),
            8 => {
                world.network.refuse(who, true);
                Weather::Fair
            }
            _ => {
                world.network.refuse(who, false);
                Weather::Fair
            }
        };
        world.ledger.look().note(&format!("{}'s weather: {weather:?}", world.people[who].name));
        world.ledger.look().counts.network_faults += 1;
        world.network.weather(Some(who), weather);
    }

    /// Says something that nobody else says, of any length.
    fn say(&mut self, world: &mut World, who: usize, group: Group) -> String {
        let mark = format!("{}-{}", world.people[who].name, self.next_text);
        self.next_text += 1;
        let length = if world.dice.chance(20) { world.dice.size(0..=3000) } else { world.dice.size(0..=60) };
        let text = format!("{mark} {}", "x".repeat(length));
        if world.is_up(who) {
            self.said.insert(mark.clone(), who);
            world.ask(who, format!("says {mark} in {}", short(&group)), move |client| async move {
                client.queue(group, &text).await.map(|id| short(&id))
            });
        }
        mark
    }

    /// Waits until everybody is there and has nothing left to do.
    fn settle(&mut self, world: &mut World) {
        let until = world.now + SETTLING_MS;
        let mut next_look = 0;
        while !world.is_broken() {
            world.step(until);
            if !world.is_at_rest() || !Self::all_live(world) || !world.network.is_well() {
                if world.now >= until {
                    return Self::stuck(world, "somebody is not there, or waits for something");
                }
                continue;
            }
            // A look costs more than a step.
            if world.now < next_look || world.is_busy() {
                continue;
            }
            next_look = world.now + LOOK_MS;
            self.learn_groups(world);
            match self.unfinished(world) {
                None => return,
                Some(what) if world.now >= until => return Self::stuck(world, &what),
                Some(_) => {}
            }
        }
    }

    fn stuck(world: &World, what: &str) {
        let live: Vec<String> = (0..world.people.len())
            .map(|who| format!("{} {}", world.people[who].name, if world.is_live(who) { "live" } else { "away" }))
            .collect();
        world.ledger.look().violation(format!("STUCK: {what} ({})", live.join(", ")));
    }

    fn all_live(world: &World) -> bool {
        (0..world.people.len()).all(|who| world.people[who].revoked || world.is_live(who))
    }

    /// What is still on its way, though nothing is in its way.
    fn unfinished(&self, world: &World) -> Option<String> {
        for group in &self.groups {
            let group = *group;
            let mut standing = BTreeSet::new();
            for who in (0..world.people.len()).filter(|who| !world.people[*who].revoked) {
                let (outbox, infos) =
                    world.look(who, |client| async move { (client.outbox(group, 100).await, client.groups().await) })?;
                if outbox.is_ok_and(|outbox| !outbox.is_empty()) {
                    return Some(format!("{} has unsent messages in {}", world.people[who].name, short(&group)));
                }
                let info = infos.unwrap_or_default().into_iter().find(|info| info.id == group);
                match info.as_ref().map(|info| info.state) {
                    Some(GroupState::Joining) => return Some(format!("{} is joining {}", world.people[who].name, short(&group))),
                    Some(GroupState::Active | GroupState::Leaving) => {
                        let authenticator = world.look(who, |client| async move { client.epoch_authenticator(group).await })?;
                        standing.insert(authenticator.unwrap_or_default());
                    }
                    _ => {}
                }
            }
            if standing.len() > 1 {
                return Some(format!("members of {} stand in different epochs", short(&group)));
            }
        }
        self.undelivered(world)
    }

    /// A message that somebody should have and has not.
    fn undelivered(&self, world: &World) -> Option<String> {
        for group in &self.groups {
            let histories = world.histories(*group);
            let seqs: BTreeSet<u64> = histories.values().flatten().map(|message| message.seq).collect();
            for (who, history) in &histories {
                if world.people[*who].revoked {
                    continue;
                }
                let device = world.people[*who].device;
                let has: BTreeSet<u64> = history.iter().map(|message| message.seq).collect();
                let truth = world.ledger.look();
                let missing = seqs.iter().find(|seq| !has.contains(seq) && truth.is_due(device, *group, **seq));
                if let Some(seq) = missing {
                    return Some(format!("LOST: {} has no {} {seq}", world.people[*who].name, short(group)));
                }
            }
        }
        None
    }

    /// What must hold whenever everything has settled.
    fn check(&mut self, world: &mut World) {
        if world.is_broken() {
            return;
        }
        let mut wrong = world.ledger.look().leaks();
        let mut places: BTreeMap<String, (Group, u64)> = BTreeMap::new();
        for group in &self.groups {
            for (who, history) in world.histories(*group) {
                let name = &world.people[who].name;
                if !history.is_sorted_by(|a, b| a.seq < b.seq) {
                    wrong.push(format!("REORDER or DUPLICATE_EFFECT: {name}'s history of {} does not ascend", short(group)));
                }
                for message in history {
                    let mark = mark(&message.text);
                    match self.said.get(&mark) {
                        Some(sender) if world.people[*sender].name == message.from => {}
                        _ => wrong.push(format!("PHANTOM: {name} has {mark} from {}", message.from)),
                    }
                    let place = *places.entry(mark.clone()).or_insert((*group, message.seq));
                    if place != (*group, message.seq) {
                        wrong.push(format!("DUPLICATE_EFFECT: {mark} stands at {} and at {}", place.1, message.seq));
                    }
                }
            }
        }
        for id in &world.failed {
            if let Some((group, seq)) = world.ledger.look().accepted.get(id) {
                wrong.push(format!("a message that was told to have failed stands in {} {seq}", short(group)));
            }
        }
        wrong.into_iter().for_each(|wrong| world.ledger.look().violation(wrong));
    }

    /// Nothing fails now, so what is said arrives at once: nobody is saved by a reconnect.
    fn speak_in_peace(&mut self, world: &mut World) {
        for group in self.groups.clone() {
            if world.is_broken() {
                return;
            }
            let active = |who: &usize| {
                let infos = world.look(*who, |client| async move { client.groups().await });
                let infos = infos.and_then(Result::ok).unwrap_or_default();
                !world.people[*who].revoked && infos.iter().any(|info| info.id == group && info.state == GroupState::Active)
            };
            let members: Vec<usize> = (0..world.people.len()).filter(active).collect();
            let Some(speaker) = world.dice.pick(&members).copied() else { continue };
            let failed = world.failed.len();
            let mark = self.say(world, speaker, group);
            let until = world.now + PROMPT_MS;
            // Who had asked to leave, and whose call was lost in a crash, may be gone before it comes, or before it goes.
            let arrived = |world: &World| {
                if world.failed.len() > failed {
                    return true;
                }
                let truth = world.ledger.look();
                members
                    .iter()
                    .all(|who| world.heard.contains(&(*who, mark.clone())) || truth.is_closed(world.people[*who].device, group))
            };
            while !arrived(world) {
                if world.is_broken() {
                    return;
                }
                if world.now >= until {
                    let late =
                        format!("LOST WAKE-UP: {mark} has not arrived everywhere in {} within {PROMPT_MS} ms", short(&group));
                    return world.ledger.look().violation(late);
                }
                world.step(until);
            }
        }
    }
}
