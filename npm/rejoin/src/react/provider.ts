import { createContext, createElement, useContext, type ReactNode } from "react";
import type { Workspace } from "../client/workspace.js";
import { RejoinError } from "../errors.js";

const Context = createContext<Workspace | null>(null);

export interface RejoinProviderProps {
  /** What `connect` gave. Make it once, outside of components; it begins with the first document. */
  readonly workspace: Workspace;
  readonly children?: ReactNode;
}

/** Gives a workspace to the hooks below it. */
export function RejoinProvider({ workspace, children }: RejoinProviderProps): ReactNode {
  return createElement(Context.Provider, { value: workspace }, children);
}

/** The workspace of the provider above. */
export function useWorkspace(): Workspace {
  const workspace = useContext(Context);
  if (!workspace)
    throw new RejoinError(
      "invalid_option",
      "there is no workspace here: wrap the page in <RejoinProvider workspace={connect(…)}>",
    );
  return workspace;
}
