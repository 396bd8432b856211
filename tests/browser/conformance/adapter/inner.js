/** Opens a connection beside the store's, to look at a database, to spoil it, and to be in its way. */
export function inner(name, version) {
  return settled(indexedDB.open(name, version));
}

/** Removes a database; a connection that does not let go is waited for. */
export function remove(name) {
  return settled(indexedDB.deleteDatabase(name));
}

/** Waits for a request. */
export function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * Keeps the connections that are opened and the transactions that are begun from now on.
 *
 * `onTransaction` is called with each transaction, and what it was begun with.
 */
export function spy(onTransaction = () => undefined) {
  const databases = [];
  const transactions = [];
  const { transaction } = IDBDatabase.prototype;
  IDBDatabase.prototype.transaction = function (...parameters) {
    const begun = transaction.apply(this, parameters);
    if (!databases.includes(this)) {
      databases.push(this);
    }
    transactions.push(parameters);
    onTransaction(begun, parameters);
    return begun;
  };
  return { databases, transactions };
}
