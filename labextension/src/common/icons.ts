// The panel's own icon. It takes the theme's colour.
import { LabIcon } from '@jupyterlab/ui-components';

export const realmIcon = new LabIcon({
  name: 'mtor-realm:realm',
  // `style` keeps the theme, which colours the stroke, from filling the shapes as well.
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" style="fill: none" stroke="#616161" stroke-width="2.2"
    stroke-linejoin="round" stroke-linecap="round">
    <path d="M4 19V6l8 8 8-8v13"/>
  </g></svg>`
});
