// Every text that is seen and has too little contrast with what is behind it (WCAG AA), as "ratio: text".
(() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return { r, g, b, a }; };
  const over = (top, below) => ({ r: top.r * top.a + below.r * (1 - top.a), g: top.g * top.a + below.g * (1 - top.a), b: top.b * top.a + below.b * (1 - top.a), a: 1 });
  const light = ({ r, g, b }) => [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4)).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    if (!element) return { r: 255, g: 255, b: 255, a: 1 };
    const own = parse(getComputedStyle(element).backgroundColor);
    return own.a === 1 ? own : over(own, behind(element.parentElement));
  };
  // what a text and what is behind it look like, where they or what they stand in let shine through what is below
  const seen = (element, colours) => {
    for (let one = element; one; one = one.parentElement) {
      const opacity = Number(getComputedStyle(one).opacity);
      if (opacity < 1) { const below = behind(one.parentElement); colours = colours.map((colour) => over({ ...colour, a: opacity }, below)); }
    }
    return colours;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility?.({ opacityProperty: true, visibilityProperty: true }) || element.closest(":disabled, .visually-hidden, .skip, option, noscript")) continue;
    const style = getComputedStyle(element), below = behind(element), [a, b] = seen(element, [over(parse(style.color), below), below]).map(light).sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (isLarge ? 3 : 4.5)) found.push(`${ratio.toFixed(2)}: ${node.data.trim().slice(0, 40)}`);
  }
  return found;
})()
