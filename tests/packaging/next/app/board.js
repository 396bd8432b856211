"use client";

import { connect } from "rejoin";
import {
  RejoinProvider,
  useConflicts,
  useDocument,
  useDocuments,
  useHistory,
  useMutation,
  useOthers,
  usePresence,
  useRedo,
  useSyncStatus,
  useText,
  useUndo,
} from "rejoin/react";
import { useState } from "react";

const url = process.env.NEXT_PUBLIC_REJOIN_URL;
const begun = { create: () => ({ title: "Begun" }) };

/** Rendered by the server, where nothing connects, and then in the browser. */
export function Board({ id, isOffline }) {
  const [workspace] = useState(() => connect({ url, offline: isOffline }));
  return (
    <RejoinProvider workspace={workspace}>
      <Title id={id} />
    </RejoinProvider>
  );
}

function Title({ id }) {
  const doc = useDocument(id, begun);
  const [title] = useText(id, "/title");
  const edit = useMutation(id);
  const { link, storage } = useSyncStatus();
  usePresence(id, { name: "Ada" });
  const known = [
    useOthers(id).length,
    useConflicts(id).conflicts.length,
    useHistory(id).entries.length,
    useDocuments().length,
    useUndo(id).canUndo,
    useRedo(id).canRedo,
  ];
  const rename = () =>
    edit((draft) => {
      draft.title = "From the page";
    });
  return (
    <main>
      <h1 id="title">{title ?? ""}</h1>
      <button id="edit" onClick={rename}>
        Edit
      </button>
      <p id="link">{link}</p>
      <p id="storage">{storage}</p>
      <p id="rung">{doc.status.rung}</p>
      <p id="known">{known.join(" ")}</p>
    </main>
  );
}
