// Times in the reader's zone, also in what arrives later.
(() => {
  const lang = document.documentElement.lang;
  const shown = new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short' });
  const localise = (root) => {
    for (const each of root.querySelectorAll('time[datetime]:not([title])')) {
      each.title = each.textContent.trim();
      each.textContent = shown.format(new Date(each.dateTime));
    }
  };
  localise(document);
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes)
      for (const node of addedNodes)
        if (node.nodeType === Node.ELEMENT_NODE) localise(node.parentNode ?? node);
  }).observe(document.body, { childList: true, subtree: true });

  // What cannot be undone is asked twice.
  document.addEventListener('submit', (event) => {
    const question = event.submitter?.dataset.confirm;
    if (question !== undefined && !window.confirm(question)) event.preventDefault();
  });
})();
