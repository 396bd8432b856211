import { equal, rejects } from "./assert.js";
import { remove } from "./inner.js";
import { NAME, commitHead, listed, open, scanHeads } from "./sample.js";

export async function a_store_that_leads_takes_the_next_epoch() {
  const { store: first } = await open();
  const { store: second } = await open();
  const { store: third } = await open({ leader: 40 });
  const { store: reader } = await open({ leader: null });
  equal([first.leader, second.leader, third.leader, reader.leader], [1, 2, 41, null]);
}

export async function the_commits_of_a_former_leader_are_refused() {
  const { store: former, events } = await open();
  await former.execute(commitHead("plan", 1));
  const { store: leader } = await open();
  const refused = former.execute(commitHead("plan", 2));
  await rejects(refused, { code: 3, staleLeader: true, emptied: false });
  equal([await listed(former), events], [{ plan: 1 }, []], "it still reads");
  await leader.execute(commitHead("plan", 2));
  equal(await listed(leader), { plan: 2 });
}

/** A commit of the former leader that was asked for before the new one leads is there when that reads. */
export async function what_a_leader_has_under_way_is_seen_by_the_next() {
  const { store: former } = await open();
  const commits = [1, 2, 3].map((revision) => former.execute(commitHead("plan", revision)));
  const { store: leader } = await open();
  equal(await listed(leader), { plan: 3 });
  await Promise.all(commits);
}

export async function a_conflict_of_revisions_is_no_matter_of_leaders() {
  const { store } = await open();
  await rejects(store.execute(commitHead("plan", 5)), { code: 3, staleLeader: false });
}

/** Else it would remove what the new leader has stored since. */
export async function a_former_leader_does_not_replace_the_database_of_the_next() {
  const { store: former } = await open();
  await remove(NAME);
  const { store: leader } = await open();
  await leader.execute(commitHead("plan", 1));
  await rejects(former.execute(scanHeads), { code: 0, emptied: true });
  await rejects(former.replace(), { code: 3, staleLeader: true });
  equal(await listed(leader), { plan: 1 });

  const { store: next } = await open();
  await rejects(leader.replace(), { code: 3, staleLeader: true });
  await next.replace();
  equal([await listed(next), next.leader], [{}, 3]);
}
